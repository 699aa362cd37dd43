"""Filling entries of what is kept: found on disk, or computed by all processes of a machine together."""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import torch
from torch import Tensor

from cnntrain.core import dist, store
from cnntrain.core.errors import RunError
from cnntrain.core.lock import held
from cnntrain.core.store import Entry
from cnntrain.data.batches.plan import WHOLE, Plan, eval_plan

SAY_SECONDS = 10.0
CHECKED = 4  # samples


@dataclass
class Filler:
    """Computes one part's values.

    Attributes:
        count: samples.
        batch_size: of them that are computed at once.
        values: the rows of each batch of a plan.
        what, ways_out: for people: what is kept, and which keys choose another place, or none.
        heed: raises StopError where a signal came; all ranks call it equally often.
        seconds: that computing took; 0 where all was found.
    """

    count: int
    batch_size: int
    values: Callable[[Plan], Iterator[tuple[Tensor, ...]]]
    what: str
    ways_out: str
    say: Callable[[str], None]
    heed: Callable[[], None]
    seconds: float = 0.0

    def tensors(self, entry: Entry, root: Path | None) -> list[Tensor]:
        """An entry's tensors with all values in them: found on disk under `root`, or computed.

        Args:
            root: where entries are on disk; None keeps them in RAM.

        Raises:
            RunError: the disk is full or cannot be written.
            StopError: a signal came before all was computed.
        """
        leads = dist.local_rank() == 0  # each machine has a folder of its own, or all see the same
        if root is not None:
            announced = entry.is_in(root)
            if not dist.any_rank(leads and not self._is_found(entry, root)):
                return entry.mapped(root / entry.key)
            if announced:
                self.say(f"  {entry.about['part']}: what was found is damaged or is not what it was; computed anew")
        start = time.perf_counter()
        with self._space(entry, root) as (values, folder):
            self._compute(entry, values)
            if root is not None and folder is not None and leads:
                self._publish(entry, folder, root)
        self.seconds = time.perf_counter() - start
        return values

    def _is_found(self, entry: Entry, root: Path) -> bool:
        """Whether the entry is on disk, undamaged, and holds what is computed now of a part's first samples.

        That guards against whatever the key should have covered and did not; other kernels may round otherwise.
        """
        if not entry.is_whole(root):
            return False
        count = min(CHECKED, self.count)
        computed = next(self.values(eval_plan(count, count, WHOLE)))
        for stored, values in zip(entry.mapped(root / entry.key), computed, strict=True):
            rows, values = stored[:count].to(values.device).float(), values.float()
            most = values.nan_to_num(0, 0, 0).abs().max().item()  # of the numbers: what is none may be in both
            if not torch.allclose(rows, values, rtol=0.02, atol=0.02 * most, equal_nan=True):
                entry.remove(root)
                return False
        return True

    def _compute(self, entry: Entry, tensors: list[Tensor]) -> None:
        """Fill the tensors, view by view, every rank of a machine its share of the batches.

        The batches are the same however many ranks there are, so that the values are.
        """
        count, ranks, rank = self.count, dist.local_world_size(), dist.local_rank()
        said = time.monotonic()
        for view in range(entry.shapes[0][0] // count):
            plan = eval_plan(count, self.batch_size, WHOLE, epoch=view)
            mine = range(rank, len(plan), ranks)
            batches = self.values(plan[rank::ranks])
            for number in range(dist.largest(ceil(len(plan) / ranks))):  # machines may have unequally many
                if number < len(mine):
                    row = view * count + mine[number] * self.batch_size
                    for tensor, values in zip(tensors, next(batches), strict=True):
                        tensor[row : row + len(values)] = values
                self.heed()
                if time.monotonic() - said > SAY_SECONDS:
                    said = time.monotonic()
                    done = view * count + min((number + 1) * ranks * self.batch_size, count)
                    self.say(f"  {entry.about['part']}: {done:,} of {entry.shapes[0][0]:,}")
        dist.barrier()  # what others have filled is read next

    @contextmanager
    def _space(self, entry: Entry, root: Path | None) -> Iterator[tuple[list[Tensor], Path | None]]:
        """Tensors to fill: in this process's memory, or in files that this machine's processes share.

        The files' folder is gone after the block, unless it was published; what is mapped stays.

        Raises:
            RunError: there is no room.
        """
        if root is None and dist.largest(dist.local_world_size()) == 1:  # machines may have unequally many
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
                raise RunError(f"cannot keep {self.what} in {folder.parent}: {reason}; {self.ways_out}")
            tensors = entry.mapped(folder, fill=True)
            dist.barrier()
            if root is None and leads:  # all have mapped it, so even a kill leaves nothing
                shutil.rmtree(folder)
            yield tensors, folder

    def _publish(self, entry: Entry, folder: Path, root: Path) -> None:
        try:
            entry.publish(folder, root)
        except OSError as error:
            raise RunError(f"cannot keep {self.what} in {root}: {error}; {self.ways_out}") from error
