"""How far a run has come."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

from cnntrain.core.shapes import unlike
from cnntrain.data.batches.feed import Batch, Feed
from cnntrain.data.batches.plan import Plan


@dataclass
class Progress:
    """How far a run has come; plain values, kept in its checkpoints.

    `sums` are those of the epoch under way, so that its metrics survive an interruption.
    """

    epoch: int = 0
    step_in_epoch: int = 0
    step: int = 0
    sums: list[float] | None = None
    best: dict[str, float] | None = None
    epochs_since_best: int = 0
    seconds: float = 0.0
    data_wait: float = 0.0
    images: int = 0
    phase: int = 0  # the epoch in which what is frozen now was frozen
    hash_start: str = ""  # of it
    kept: dict[str, Any] | None = None  # what `Phase.remembered` says of the present phase

    @classmethod
    def of(cls, saved: Mapping[str, Any]) -> Progress:
        """That of a checkpoint.

        Raises:
            ValueError: it is none.
        """
        problem = unlike(saved, cls)
        if problem is not None:
            raise ValueError(problem)
        return cls(**{each.name: saved[each.name] for each in fields(cls) if each.name in saved})

    def is_stale(self, patience: int | None) -> bool:
        """Whether so many epochs have passed without a better one."""
        return patience is not None and self.epochs_since_best >= patience

    def end_epoch(self, values: Mapping[str, float], improved: bool) -> None:
        """Count an epoch, and how long ago the best was."""
        self.epoch += 1
        self.step_in_epoch, self.sums = 0, None
        if improved:
            self.best = {"epoch": self.epoch, "step": self.step, **values}
        self.epochs_since_best = 0 if improved else self.epochs_since_best + 1

    def timed(self, feed: Feed, plan: Plan, ranks: int) -> Iterator[Batch]:
        """The batches of `plan`; counts their images over all ranks, and the time until the next one is asked for."""
        start, waited = time.perf_counter(), feed.waited
        for batch in feed.batches(plan):
            yield batch
            self.seconds += time.perf_counter() - start
            self.data_wait += feed.waited - waited
            self.images += batch.count * ranks
            start, waited = time.perf_counter(), feed.waited

    @contextmanager
    def counted(self) -> Iterator[None]:
        """The time in the block is that of training."""
        start = time.perf_counter()
        yield
        self.seconds += time.perf_counter() - start


class Rate:
    """Images a second since it was made: over an epoch, not over the run."""

    def __init__(self, progress: Progress):
        self._progress = progress
        self._images, self._seconds = progress.images, progress.seconds

    def __call__(self) -> float:
        seconds = self._progress.seconds - self._seconds
        return (self._progress.images - self._images) / seconds if seconds else 0.0
