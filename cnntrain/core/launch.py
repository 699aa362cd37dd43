"""From one process to the processes of a run, and back to one result."""

from __future__ import annotations

import gc
import logging
import os
import shutil
import signal
import socket
import stat
import sys
import tempfile
import time
import traceback
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from cnntrain.core import cores, dist, plain_json, signals, torchrun
from cnntrain.core.errors import RunError, UserError
from cnntrain.core.files import write_atomic
from cnntrain.core.keys import is_within
from cnntrain.core.lock import LOCK, held, in_use
from cnntrain.core.loggers import loggers_kept
from cnntrain.core.words import tell

FAILED, WRONG = 1, 2
PREFIX = "cnntrain-"  # of a launcher's folder
ABANDONED = 60  # seconds after which a folder that nobody holds is not one that is just made
SIGNALS = "TORCHELASTIC_SIGNALS_TO_HANDLE"  # by which the launcher tells itself what it was given

Result = tuple[int, str | None]  # an exit code, and what was made
Runner = Callable[..., Result]  # a function of a module, which new processes can import


def launch(runner: Runner, args: tuple[Any, ...], devices: int, device: str, keep_group: bool = False) -> Result:
    """Call ``runner(*args)`` in so many processes.

    A process that torchrun started joins its group; else the processes are started by the same elastic launcher, and
    what the first one returns is returned here.

    Args:
        args: plain values.
        device: auto, cpu or cuda.
        keep_group: whether processes that torchrun started will do more together: a second group of the same processes
            may fail to meet.
    """
    if torchrun.processes() is None:
        return _spawn(runner, args, devices, device)
    with dist.process_group(device, keep_group):
        return runner(*args)


def _spawn(runner: Runner, args: tuple[Any, ...], devices: int, device: str) -> Result:
    from torch.distributed.elastic.multiprocessing.api import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    _remove_abandoned()
    with _contained(), tempfile.TemporaryDirectory(prefix=PREFIX) as folder, held(Path(folder)):
        settings = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=devices,
            run_id=uuid.uuid4().hex,
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            local_addr="localhost",  # else the name of this machine is looked up, for long where no DNS answers
            max_restarts=0,
            monitor_interval=0.1,
            start_method="spawn",
            logs_specs=DefaultLogsSpecs(log_dir=folder),  # a folder of its own would stay behind
            signals_to_handle=",".join(each.name for each in signals.HANDLED),
        )
        result_file = Path(folder) / "result"
        try:
            elastic_launch(settings, _spawned)(runner, args, devices, device, str(result_file))
        except (SignalException, ChildFailedError) as error:
            # a signal ends the launcher even when every rank has saved and returned; rank 0 left its result in the file
            if not result_file.exists():
                if isinstance(error, SignalException):  # while the ranks were starting
                    raise KeyboardInterrupt from error
                codes = [each.exitcode for each in getattr(error, "failures", {}).values()]
                for killed in (signal.Signals(-code).name for code in codes if code < 0):
                    tell(f"cnntrain: a process of the run was ended by {killed} (out of memory?)", sys.stderr)
                return max(codes, default=FAILED) if min(codes, default=FAILED) > 0 else FAILED, None
        code, made = plain_json.read(result_file.read_bytes(), list[int | str | None])
        return code, made


def _remove_abandoned() -> None:
    """Delete the folders of launchers that were killed together with their ranks; another user's stay."""
    for each in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):  # another process may have deleted it
            status = each.lstat()
            mine = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
            if mine and time.time() - status.st_mtime > ABANDONED and (each / LOCK).exists() and not in_use(each):
                shutil.rmtree(each)


@contextmanager
def _contained() -> Iterator[None]:
    """Within the block torch's launcher may do to this process what it does; afterwards none of it is left.

    Its loggers are silent meanwhile: their lines and tracebacks would hide our own message. For events that nobody
    reads it looks this machine's whole name up again and again, for 20 seconds each where no DNS answers: it gets the
    short one. For the same events it reads the source of every caller of its methods, for seconds: that is left out.
    """
    from torch.distributed.elastic.rendezvous import dynamic_rendezvous

    names = ("torch.distributed.elastic", "torch.distributed.launcher", "torch.multiprocessing")
    try:
        with (
            _replaced(socket, "getfqdn", lambda name="": name or socket.gethostname()),
            _replaced(dynamic_rendezvous, "get_method_name", lambda depth=2: "method"),
            loggers_kept(),
            signals.handlers_kept(),
        ):
            for each in list(logging.root.manager.loggerDict):
                if is_within(each, names):
                    logging.getLogger(each).setLevel(logging.CRITICAL)
            yield
    finally:
        os.environ.pop(SIGNALS, None)


@contextmanager
def _replaced(owner: Any, name: str, other: Any) -> Iterator[None]:
    """Have another function by that name, where there is one: not every version of torch has it."""
    if not hasattr(owner, name):
        yield
        return
    before = getattr(owner, name)
    setattr(owner, name, other)
    try:
        yield
    finally:
        setattr(owner, name, before)


def _spawned(runner: Runner, args: tuple[Any, ...], devices: int, device: str, result_file: str) -> None:
    """One rank from start to exit code; an error ends the whole group, so it must leave with a code, not wait."""
    folder, launcher = Path(result_file).parent, os.getppid()
    tempfile.tempdir = str(folder)  # goes with the launcher, whatever loaders' workers leave in it
    torch.set_num_threads(max(1, cores.usable() // devices))
    try:
        with dist.process_group(device):
            code, made = runner(*args)
    except Exception as error:
        code, made = _said_once(error, folder), None
    if os.getppid() != launcher:  # it was killed, and cannot
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(code)  # nobody waits, and what would be cleaned up is gone
    gc.freeze()  # else Python goes once more through all that torch has imported before it ends: seconds
    if os.environ["RANK"] == "0":
        write_atomic(Path(result_file), plain_json.text([code, made]).encode())  # it may be killed meanwhile
    if code:
        sys.exit(code)  # a return would wait for the launcher to fetch it, which after a signal it does not


def _said_once(error: Exception, folder: Path) -> int:
    """Print an error unless another rank has printed its own, of which this one's is a copy or a consequence; return
    the exit code.

    Args:
        folder: of the launcher, which all ranks share.
    """
    try:
        (folder / "said").touch(exist_ok=False)
    except OSError:  # or the launcher was killed, and the folder is gone
        return _code(error)
    return _print(error)


def report(error: Exception) -> int:
    """Print an error, a user's in plain words, and return its exit code.

    Under torchrun it comes from rank 0; from another rank only when rank 0 has not had the same and ended the group.
    """
    signals.let_the_first_speak()
    return _print(error)


def _print(error: Exception) -> int:
    expected = isinstance(error, (UserError, RunError, OSError))
    message = str(error) if expected else "".join(traceback.format_exception(error))
    for line in message.rstrip().split("\n"):
        tell(f"cnntrain: {line}", sys.stderr)
    return _code(error)


def _code(error: Exception) -> int:
    return WRONG if isinstance(error, UserError) else FAILED
