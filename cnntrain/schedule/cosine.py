"""Half a cosine from the full learning rate down to a fraction of it (Loshchilov and Hutter 2016, one cycle)."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi

from cnntrain.core.limits import Fraction
from cnntrain.schedule.base import Position, Schedule


@dataclass(frozen=True)
class Cosine(Schedule):
    spans_the_run = True

    final_fraction: Fraction  # of the full rate, at the run's end

    def decay(self, position: Position) -> float:
        warmup_steps = round(self.warmup_epochs * position.steps_per_epoch)
        done = max(0, position.step - warmup_steps) / max(1, position.total_steps - warmup_steps)
        return self.final_fraction + (1 - self.final_fraction) * (1 + cos(pi * done)) / 2
