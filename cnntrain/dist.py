"""The only importer of torch.distributed. On one process every helper is an identity."""

from __future__ import annotations

import logging
import os
import signal
import sys
import tempfile
import time
import traceback
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as torch_dist
from torch import Tensor, nn

from cnntrain import signals
from cnntrain.errors import ConfigError, RunError, UserError

T = TypeVar("T")
Runner = Callable[[Any, Sequence[str]], int]

_flags: Any = None  # a gloo group for agreements, which must not wait for the GPU


def rank() -> int:
    return torch_dist.get_rank() if torch_dist.is_initialized() else 0


def world_size() -> int:
    return torch_dist.get_world_size() if torch_dist.is_initialized() else 1


def local_rank() -> int:
    """This process's number among those of its machine."""
    return int(os.environ["LOCAL_RANK"]) if torch_dist.is_initialized() else 0


def local_world_size() -> int:
    """How many processes of the run this machine has."""
    return int(os.environ["LOCAL_WORLD_SIZE"]) if torch_dist.is_initialized() else 1


def node_rank() -> int:
    """This machine's number among those of the run."""
    return int(os.environ["GROUP_RANK"]) if torch_dist.is_initialized() else 0


def sum_over_ranks(tensor: Tensor) -> Tensor:
    """The elementwise sum of every rank's tensor, on all ranks."""
    if world_size() > 1:
        tensor = tensor.clone()
        torch_dist.all_reduce(tensor)
    return tensor


def any_rank(flag: bool) -> bool:
    """Whether the flag is set on at least one rank."""
    if world_size() == 1:
        return flag
    vote = torch.tensor(int(flag))
    torch_dist.all_reduce(vote, op=torch_dist.ReduceOp.MAX, group=_flags)
    return bool(vote.item())


def from_first(make: Callable[[], T]) -> T:
    """What `make` returns on rank 0, on all ranks; it is called on rank 0 only."""
    values: list[Any] = [make() if rank() == 0 else None]
    if world_size() > 1:
        torch_dist.broadcast_object_list(values, src=0, group=_flags)
    return values[0]


def on_first(make: Callable[..., AbstractContextManager[Any]], *args: Any) -> AbstractContextManager[Any]:
    """The context manager ``make(*args)`` on rank 0, an empty one on the others."""
    return make(*args) if rank() == 0 else nullcontext()


@contextmanager
def first_rank_first() -> Iterator[None]:
    """Rank 0 runs the block before the others do, so that it alone downloads and the others find the files."""
    if rank() > 0:
        torch_dist.barrier(group=_flags)
    yield
    if rank() == 0 and world_size() > 1:
        torch_dist.barrier(group=_flags)


def wrap(model: nn.Module, device: torch.device) -> nn.Module:
    """`model` whose gradients are averaged over the ranks; on one process the model itself."""
    if world_size() == 1:
        return model
    ids = [device.index] if device.type == "cuda" else None
    return nn.parallel.DistributedDataParallel(model, device_ids=ids)


def sync_gradients(network: nn.Module, on: bool) -> None:
    """Whether the coming backward pass exchanges gradients; off for all but the last micro-batch of a step."""
    if isinstance(network, nn.parallel.DistributedDataParallel):
        network.require_backward_grad_sync = on


def share_buffers(model: nn.Module) -> None:
    """Give every rank the buffers (BatchNorm's running statistics) of rank 0."""
    if world_size() > 1:
        for buffer in model.buffers():
            torch_dist.broadcast(buffer, src=0)


def pick_device(name: str) -> torch.device:
    """This rank's device.

    Raises:
        ConfigError: cuda is asked for and there is none, or there are fewer GPUs than processes on this machine.
    """
    count = torch.cuda.device_count() if name != "cpu" else 0
    if name == "cuda" and count == 0:
        raise ConfigError("device=cuda: torch sees no CUDA device here; take device=cpu or auto")
    if count == 0:
        return torch.device("cpu")
    local = int(os.environ.get("LOCAL_RANK", 0))
    if local >= count:
        raise ConfigError(f"devices: {local + 1} processes on this machine, which has {count} GPUs")
    return torch.device("cuda", local)


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


@contextmanager
def _process_group(config: Any) -> Iterator[None]:
    global _flags
    if config.devices == 1:
        yield
        return
    device = pick_device(getattr(config, "device", None) or config.trainer.device)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    torch_dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    # the first rank writes, downloads, or fits scikit-learn's classifiers while the others wait
    _flags = torch_dist.new_group(backend="gloo", timeout=timedelta(days=1))
    yield
    torch_dist.destroy_process_group()  # not after an error: it could wait for a rank that is gone


def _print_once(message: str) -> None:
    """Print an error from rank 0; from another rank only when rank 0 has not had the same and ended the group."""
    if int(os.environ.get("RANK", 0)) > 0:
        signals.restore()
        time.sleep(3)
    for line in message.rstrip().splitlines():
        print(f"cnntrain: {line}", file=sys.stderr, flush=True)
