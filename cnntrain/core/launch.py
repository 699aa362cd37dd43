"""From one process to the processes of a run, and back to one exit code."""

from __future__ import annotations

import logging
import os
import signal
import sys
import tempfile
import time
import traceback
import uuid
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch

from cnntrain.core import dist, signals
from cnntrain.core.errors import RunError, UserError

Runner = Callable[[Any, Sequence[str]], int]


def launch(runner: Runner, config: Any, overrides: Sequence[str]) -> int:
    """Run ``runner(config, overrides)`` in ``config.devices`` processes and return the exit code.

    A process that torchrun started joins its group; else the processes are started by the same elastic launcher.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ or config.devices == 1:
        return _rank_main(runner, config, overrides)
    return _spawn(runner, config, overrides)


def _spawn(runner: Runner, config: Any, overrides: Sequence[str]) -> int:
    from torch.distributed.elastic.multiprocessing.api import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    for name in list(logging.root.manager.loggerDict):
        if name.startswith(("torch.distributed.elastic", "torch.distributed.launcher", "torch.multiprocessing")):
            logging.getLogger(name).setLevel(logging.CRITICAL)  # their lines and tracebacks hide our own message
    with tempfile.TemporaryDirectory(prefix="cnntrain-") as folder:
        settings = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=config.devices,
            run_id=uuid.uuid4().hex,
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            max_restarts=0,
            monitor_interval=0.1,
            start_method="spawn",
            logs_specs=DefaultLogsSpecs(log_dir=folder),  # a folder of its own would stay behind
            signals_to_handle=",".join(each.name for each in signals.HANDLED),
        )
        code_file = Path(folder) / "code"
        try:
            elastic_launch(settings, _spawned)(runner, config, overrides, str(code_file))
        except (SignalException, ChildFailedError) as error:
            # a signal ends the launcher even when every rank has saved and returned; rank 0 left its code in the file
            if not code_file.exists():
                if isinstance(error, SignalException):  # while the ranks were starting
                    raise KeyboardInterrupt from error
                codes = [each.exitcode for each in getattr(error, "failures", {}).values()]
                for killed in (signal.Signals(-code).name for code in codes if code < 0):
                    print(f"cnntrain: a process of the run was ended by {killed} (out of memory?)", file=sys.stderr)
                return max(codes, default=1) if min(codes, default=1) > 0 else 1
        return int(code_file.read_text())


def _spawned(runner: Runner, config: Any, overrides: Sequence[str], code_file: str) -> None:
    tempfile.tempdir = str(Path(code_file).parent)  # goes with the launcher, whatever loaders' workers leave in it
    torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // config.devices))
    code = _rank_main(runner, config, overrides)
    if os.environ["RANK"] == "0":
        Path(code_file).write_text(str(code))
    if code:
        sys.exit(code)  # a return would wait for the launcher to fetch it, which after a signal it does not


def _rank_main(runner: Runner, config: Any, overrides: Sequence[str]) -> int:
    """One rank from start to exit code; an error ends the whole group, so it must leave with a code, not wait."""
    try:
        with _process_group(config):
            return runner(config, overrides)
    except (UserError, RunError, OSError) as error:
        _print_once(str(error))
        return 2 if isinstance(error, UserError) else 1
    except Exception:
        _print_once(traceback.format_exc())
        return 1


def _process_group(config: Any) -> AbstractContextManager[None]:
    if config.devices == 1:
        return nullcontext()
    return dist.process_group(getattr(config, "device", None) or config.trainer.device)


def _print_once(message: str) -> None:
    """Print an error from rank 0; from another rank only when rank 0 has not had the same and ended the group."""
    if int(os.environ.get("RANK", 0)) > 0:
        signals.restore()
        time.sleep(3)
    for line in message.rstrip().splitlines():
        print(f"cnntrain: {line}", file=sys.stderr, flush=True)
