"""The learning rate falls by a factor every so many epochs."""

from __future__ import annotations

from dataclasses import dataclass

from cnntrain.schedule.base import Position, Schedule, check_factor


@dataclass
class Step(Schedule):
    every_epochs: int
    factor: float

    def __post_init__(self) -> None:
        super().__post_init__()
        check_factor(self.factor)
        if self.every_epochs < 1:
            raise ValueError(f"every_epochs must be at least 1, not {self.every_epochs}")

    def decay(self, position: Position) -> float:
        return self.factor ** (position.step // position.steps_per_epoch // self.every_epochs)
