"""The learning rate rises linearly to its full value and falls linearly from it (Smith 2015, one cycle)."""

from __future__ import annotations

from dataclasses import dataclass

from cnntrain.core.limits import Fraction, Inside
from cnntrain.schedule.base import Position, Schedule


@dataclass(frozen=True)
class Triangle(Schedule):
    spans_the_run = True

    first_fraction: Fraction  # of the full rate, at the run's start
    peak: Inside  # where in the run the rate is full
    final_fraction: Fraction  # of the full rate, at the run's end

    def __post_init__(self) -> None:
        if self.warmup_epochs:
            raise ValueError(f"name={self.name} rises by itself, up to its peak: it goes with warmup_epochs=0")

    def decay(self, position: Position) -> float:
        top = int(self.peak * position.total_steps)
        if position.step < top:
            return self.first_fraction + (1 - self.first_fraction) * position.step / top
        done = (position.step - top) / (position.total_steps - top)
        return 1 - (1 - self.final_fraction) * done
