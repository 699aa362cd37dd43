"""The learning rate falls by a factor at each of a list of epochs."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from cnntrain.core.limits import Inside
from cnntrain.schedule.base import Position, Schedule


@dataclass(frozen=True)
class MultiStep(Schedule):
    milestones: list[int]  # epochs done when the rate falls
    factor: Inside

    def __post_init__(self) -> None:
        if sorted(set(self.milestones)) != self.milestones or min(self.milestones, default=1) < 1:
            raise ValueError(f"milestones must be rising epochs from 1 on, not {self.milestones}")

    def decay(self, position: Position) -> float:
        return self.factor ** bisect_right(self.milestones, position.step // position.steps_per_epoch)
