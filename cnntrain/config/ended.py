"""How a command ends, and what may end a run early. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import nan

Prune = Callable[[int, float], bool]  # of an epoch's number and metric: whether the run ends there


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, what it made, which is the last line that it prints, what was wrong, and the
    best value of a run's metric on val, which Hydra's sweepers take for the objective."""

    code: int = 0
    made: str | None = None
    error: str | None = None
    objective: float | None = None

    def __float__(self) -> float:
        return nan if self.objective is None else self.objective
