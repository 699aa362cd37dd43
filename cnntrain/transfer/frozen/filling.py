"""Filling entries of activations: found on disk, or computed by all processes of a machine together."""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cnntrain.core import dist
from cnntrain.core.errors import RunError
from cnntrain.core.lock import held
from cnntrain.data.batches.loader import Loader
from cnntrain.data.batches.plan import Plan
from cnntrain.transfer.frozen import store
from cnntrain.transfer.frozen.store import Entry

if TYPE_CHECKING:
    from cnntrain.train.run import Run
    from cnntrain.transfer.frozen.keeping import Prefix

SAY_SECONDS = 10.0
CHECKED = 4  # images
WAYS_OUT = "choose transfer.cache_dir or transfer.cache=off"


def tensors(run: Run, entry: Entry, root: Path | None, prefix: Prefix) -> list[Tensor] | None:
    """An entry's tensors with all values in them: found on disk under `root`, or computed.

    Args:
        root: where entries are on disk; None keeps them in RAM.

    Returns:
        None where a signal came before all was computed.

    Raises:
        RunError: the disk is full or cannot be written.
    """
    leads = dist.local_rank() == 0  # each machine has a folder of its own, or all see the same
    if root is not None:
        announced = entry.is_in(root)
        if not dist.any_rank(leads and not _is_found(run, entry, root, prefix)):
            return entry.mapped(root / entry.key)
        if announced:
            run.report.say(f"  {entry.about['part']}: what was found is damaged or of another network; computed anew")
    start = time.perf_counter()
    with _space(entry, root) as (values, folder):
        done = _compute(run, entry, values, prefix)
        if done and root is not None and folder is not None and leads:
            _publish(entry, folder, root)
    if entry.about["part"] == "train":  # the time of validation is counted nowhere
        run.progress.seconds += time.perf_counter() - start
    return values if done else None


def _is_found(run: Run, entry: Entry, root: Path, prefix: Prefix) -> bool:
    """Whether the entry is on disk, undamaged, and holds what the network computes now of a part's first images.

    That guards against whatever the key should have covered and did not; other kernels may round otherwise.
    """
    if not entry.is_whole(root):
        return False
    loader: Loader = getattr(run.loaders, entry.about["part"])
    count = min(CHECKED, len(loader.samples))
    images, _ = next(loader.batches([[(0, index) for index in range(count)]]))
    for stored, values in zip(entry.mapped(root / entry.key), prefix(images), strict=True):
        rows = stored[:count].to(values.device, values.dtype)
        if not torch.allclose(rows, values, rtol=0.02, atol=0.02 * values.abs().max().item(), equal_nan=True):
            entry.remove(root)
            return False
    return True


@contextmanager
def _space(entry: Entry, root: Path | None) -> Iterator[tuple[list[Tensor], Path | None]]:
    """Tensors to fill: in this process's memory, or in files that this machine's processes share.

    The files' folder is gone after the block, unless it was published; what is mapped stays.

    Raises:
        RunError: there is no room.
    """
    if root is None and dist.local_world_size() == 1:
        yield entry.in_memory(), None
        return
    token = dist.from_first(lambda: uuid.uuid4().hex[:12])
    folder = entry.unfinished(root or store.SHARED_MEMORY, token, dist.node_rank())
    leads = dist.local_rank() == 0
    with ExitStack() as stack:
        problem = None
        try:
            if leads:
                store.sweep(folder.parent)
                stack.callback(shutil.rmtree, folder, ignore_errors=True)
                folder.mkdir(parents=True)
                stack.enter_context(held(folder))  # so that no other run sweeps it
                entry.make_files(folder)
        except OSError as error:
            problem = error
        if dist.any_rank(problem is not None):
            reason = problem or "another process of the run cannot write it"
            raise RunError(f"cannot keep the activations in {folder.parent}: {reason}; {WAYS_OUT}")
        tensors = entry.mapped(folder, fill=True)
        if root is None and not dist.any_rank(False) and leads:  # all have mapped it, so even a kill leaves nothing
            shutil.rmtree(folder)
        yield tensors, folder


def _publish(entry: Entry, folder: Path, root: Path) -> None:
    try:
        entry.publish(folder, root)
    except OSError as error:
        raise RunError(f"cannot keep the activations in {root}: {error}; {WAYS_OUT}") from error


def _compute(run: Run, entry: Entry, tensors: list[Tensor], prefix: Prefix) -> bool:
    """Fill the tensors, every rank of a machine its share of the batches; False where a signal came first.

    The batches are the same however many ranks there are, so that the values are.
    """
    loader: Loader = getattr(run.loaders, entry.about["part"])
    size = run.loaders.batch_size
    count, rows = len(loader.samples), entry.shapes[0][0]
    starts = range(0, rows, size)
    mine = list(starts)[dist.local_rank() :: dist.local_world_size()]
    plan: Plan = [[divmod(row, count) for row in range(start, min(start + size, rows))] for start in mine]
    batches = loader.batches(plan)
    said = time.monotonic()
    for number in range(ceil(len(starts) / dist.local_world_size())):
        if number < len(mine):
            images, _ = next(batches)
            for tensor, values in zip(tensors, prefix(images), strict=True):
                tensor[mine[number] : mine[number] + len(images)] = values
        if run.stop_requested():
            return False
        if time.monotonic() - said > SAY_SECONDS:
            said = time.monotonic()
            done = starts[min((number + 1) * dist.local_world_size(), len(starts)) - 1]
            run.report.say(f"  {entry.about['part']}: {done:,} of {rows:,}")
    return True
