"""When a run is written into its folder: often enough to lose little, seldom enough to cost little."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from torch import Tensor

from cnntrain import checkpoint, dist

if TYPE_CHECKING:
    from cnntrain.run import Run


class Saver:
    """Writes ``last.ckpt`` and ``best.ckpt`` of one run, in at most a share of its time.

    A checkpoint holds frozen weights too, so that it needs no other file: writing it can take far longer than an epoch
    of the few that are trained. An epoch that ends too soon after the last write is not written; the best one's state
    then waits in memory. What is on disk is always a state that an exact resume continues from, and the best up to it.
    """

    def __init__(self, run: Run):
        self.run = run
        self.written: dict[str, Any] | None = None  # the progress that last.ckpt holds
        self._best: dict[str, Any] | None = None  # the best epoch's state, where it is not on disk
        self._not_before = 0.0  # of time.monotonic()

    def epoch_done(self, improved: bool) -> None:
        """Write the state, or keep it where it is the best so far; all ranks call this.

        Raises:
            RunError: the disk is full or cannot be written; the files that were there are intact.
        """
        due = dist.from_first(lambda: time.monotonic() >= self._not_before)
        if improved and dist.rank() == 0:
            state = self.run.state_dict()
            self._best = state if due else _copied(state)
        if due:
            self.write()

    def write(self) -> None:
        """Write the present state, unless it is on disk, and the best one; all ranks call this.

        Raises:
            RunError: the disk is full or cannot be written; the files that were there are intact.
        """
        progress = self.run.progress
        progress.sums = self.run.totals.reduced() if progress.step_in_epoch else None
        dist.from_first(self._write)

    def write_best(self) -> None:
        """Write the best epoch's state where it waits in memory."""
        if self._best is not None:
            checkpoint.save(self.run.folder / checkpoint.BEST, self._best)

    def _write(self) -> None:
        start, run, progress = time.monotonic(), self.run, asdict(self.run.progress)
        last, best = run.folder / checkpoint.LAST, run.folder / checkpoint.BEST
        self.write_best()  # first: a crash in between repeats epochs and finds the same best again
        if self._best is not None and self._best["progress"] == progress:
            checkpoint.link(best, last)
        elif self.written != progress:
            checkpoint.save(last, run.state_dict())
        self._best, self.written = None, progress
        taken = time.monotonic() - start
        self._not_before = start + taken / run.config.checkpoint.time_share


def _copied(value: Any) -> Any:
    """A tree of tensors and plain values that later training steps do not change, in the computer's memory."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, Mapping):
        return {key: _copied(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_copied(each) for each in value)
    return value
