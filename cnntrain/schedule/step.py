"""The learning rate falls by a factor every so many epochs."""

from __future__ import annotations

from dataclasses import dataclass

from cnntrain.core.limits import Count, Inside
from cnntrain.schedule.base import Position, Schedule


@dataclass(frozen=True)
class Step(Schedule):
    every_epochs: Count
    factor: Inside

    def decay(self, position: Position) -> float:
        return self.factor ** (position.step // position.steps_per_epoch // self.every_epochs)
