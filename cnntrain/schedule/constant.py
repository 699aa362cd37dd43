"""The same learning rate throughout."""

from __future__ import annotations

from dataclasses import dataclass

from cnntrain.schedule.base import Position, Schedule


@dataclass(frozen=True)
class Constant(Schedule):
    def decay(self, position: Position) -> float:
        return 1.0
