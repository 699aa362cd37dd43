"""The only user of torch.distributed, its launcher apart. On one process every helper is an identity."""

from __future__ import annotations

import inspect
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as torch_dist
from torch import Tensor, nn

from cnntrain.core.errors import ConfigError, RunError, first_line

T = TypeVar("T")

HUNG = timedelta(minutes=30)  # after which a rank that does not answer is taken to hang
BEAT = 60.0  # seconds after which the first one, while it works alone, tells the others that it is there
ALONE = 24 * 3600.0  # seconds for which they believe it
GONE = re.compile(  # what gloo, nccl and the store say
    "timed? ?out|timeout|connection (reset|closed|refused)|broken pipe|failed to connect|no route|unreachable|FullMesh",
    re.IGNORECASE,
)

# no step shares buffers, by the name that it has in this version of torch
_ddp = inspect.signature(nn.parallel.DistributedDataParallel).parameters
UNSHARED: dict[str, Any] = {"forward_sync_buffers" if "forward_sync_buffers" in _ddp else "broadcast_buffers": False}

# gloo groups for agreements, which must not wait for the GPU
_flags: Any = None  # while all ranks work alike
_alone: Any = None  # while the first one works alone: it writes, downloads, or fits scikit-learn's classifiers


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


def on_one_machine() -> bool:
    """Whether all ranks are."""
    return local_world_size() == world_size()


def sum_over_ranks(tensor: Tensor) -> Tensor:
    """The elementwise sum of every rank's tensor, on all ranks."""
    if world_size() > 1:
        tensor = tensor.clone()
        torch_dist.all_reduce(tensor)
    return tensor


def gathered(tensor: Tensor) -> list[Tensor]:
    """Every rank's tensor, by rank, on the CPU of rank 0; on the others none. They may differ in their first size."""
    tensor = tensor.cpu()
    if world_size() == 1:
        return [tensor]
    boxes: list[Any] | None = [None] * world_size() if rank() == 0 else None
    torch_dist.gather_object(tensor, boxes, group=_flags)
    return boxes or []


def any_rank(flag: bool) -> bool:
    """Whether the flag is set on at least one rank."""
    return bool(largest(int(flag)))


def largest(number: int) -> int:
    """The largest of the ranks' numbers, on all ranks."""
    if world_size() == 1:
        return number
    found = torch.tensor(number)
    torch_dist.all_reduce(found, op=torch_dist.ReduceOp.MAX, group=_flags)
    return int(found.item())


def barrier() -> None:
    """Wait until all ranks are here."""
    if world_size() > 1:
        torch_dist.barrier(group=_flags)


def from_first(make: Callable[[], T]) -> T:
    """What `make` returns on rank 0, on all ranks; it is called on rank 0 only."""
    if world_size() == 1:
        return make()
    if rank() > 0:
        return _wait_for_first()
    with _works_alone():
        value = make()
    _tell((value,))
    return value


def on_first(make: Callable[..., AbstractContextManager[Any]], *args: Any) -> AbstractContextManager[Any]:
    """The context manager ``make(*args)`` on rank 0, an empty one on the others."""
    return make(*args) if rank() == 0 else nullcontext()


@contextmanager
def first_rank_first() -> Iterator[None]:
    """Rank 0 runs the block before the others do, so that it alone downloads and the others find the files."""
    if world_size() == 1:
        yield
    elif rank() > 0:
        _wait_for_first()
        yield
    else:
        with _works_alone():
            yield
        _tell((None,))


def _tell(said: tuple[Any] | None) -> list[Any]:
    """What rank 0 says, on all ranks: a value, or None for that it still works."""
    box = [said]
    torch_dist.broadcast_object_list(box, src=0, group=_alone)
    return box


@contextmanager
def _works_alone() -> Iterator[None]:
    """Within the block, which rank 0 runs, it tells the others again and again that it works: a machine that cannot be
    reached is told by that from one that downloads for hours."""
    done = threading.Event()

    def beat() -> None:
        with suppress(RuntimeError):  # what the main thread tells the others fails alike, and says why
            while not done.wait(BEAT):
                _tell(None)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
    thread.join()  # not after an error, which ends the run


def _wait_for_first() -> Any:
    """On another rank than the first: the value that it tells at last.

    Raises:
        RunError: it has worked alone for a day.
    """
    start = time.monotonic()
    while time.monotonic() - start < ALONE:
        (said,) = _tell(None)
        if said is not None:
            return said[0]
    raise RunError("the first process of the run has worked alone for a day: it hangs; resume the run")


def wrap(model: nn.Module, device: torch.device, unused: Callable[[], Collection[str]] = tuple) -> nn.Module:
    """`model` whose gradients are averaged over the ranks; on one process the model itself.

    Args:
        unused: gives names of parameters that no step has a gradient of, for which the ranks would wait.
    """
    if world_size() == 1:
        return model
    nn.parallel.DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(model, [*unused()])
    ids = [device.index] if device.type == "cuda" else None
    # buffers are shared before an evaluation, which alone reads them; gradients need not be copied for the exchange
    return nn.parallel.DistributedDataParallel(model, device_ids=ids, gradient_as_bucket_view=True, **UNSHARED)


def sync_gradients(network: nn.Module, on: bool) -> None:
    """Whether the coming backward pass exchanges gradients; off for all but the last micro-batch of a step."""
    network = getattr(network, "_orig_mod", network)  # of a compiled one
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


def leave() -> None:
    """Leave the group, if this process is in one."""
    if torch_dist.is_initialized():
        torch_dist.destroy_process_group()


@contextmanager
def _absence_explained() -> Iterator[None]:
    """Raises RunError where a rank has gone, or the others have waited for it too long."""
    try:
        yield
    except RuntimeError as error:
        if not GONE.search(str(error)):
            raise
        raise RunError(
            f"another process of the run does not answer ({first_line(error)}): it was ended, hangs, or its "
            "machine cannot be reached; once the cause is mended, resume the run"
        ) from error


def _meet_here() -> None:
    """Let gloo connect ranks of one machine inside it: else it looks the machine's name up, for each group, which takes
    10 seconds where no DNS answers, and fails where the name is that of an address which is gone."""
    loopback = [name for _, name in socket.if_nameindex() if name in ("lo", "lo0")]
    if loopback and os.environ["LOCAL_WORLD_SIZE"] == os.environ["WORLD_SIZE"]:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", loopback[0])


@contextmanager
def process_group(device_name: str, keep: bool = False) -> Iterator[None]:
    """Within the block this process is one of a run's ranks.

    Args:
        keep: whether it stays one for the next block, until it leaves.

    Raises:
        ConfigError: this rank cannot have such a device, or has another than in the block before.
    """
    global _flags, _alone
    device = pick_device(device_name)
    backend = "nccl" if device.type == "cuda" else "gloo"
    if torch_dist.is_initialized():
        if torch_dist.get_backend() != backend:
            raise ConfigError(f"device={device_name}: processes that torchrun started stay with one kind of device")
        with _absence_explained():
            yield
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    _meet_here()
    with _absence_explained():
        torch_dist.init_process_group(backend, timeout=HUNG)
        _flags = torch_dist.new_group(backend="gloo", timeout=HUNG)
        _alone = torch_dist.new_group(backend="gloo", timeout=HUNG)
        yield
    if not keep:
        leave()  # not after an error: it could wait for a rank that is gone
