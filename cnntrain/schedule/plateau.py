"""The learning rate falls by a factor when a metric has stopped improving: the recipe of AlexNet, VGG and ResNet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any, Literal, TypedDict

from cnntrain.core.limits import Inside, NotNegative, Whole
from cnntrain.core.shapes import unlike
from cnntrain.schedule.base import Course, Position, Schedule


@dataclass(frozen=True)
class Plateau(Schedule):
    fixed = ("metric", "mode")

    metric: str | None  # of the task, of the training or the validation part; None: the task's first, of validation
    mode: Literal["max", "min"] | None  # None: as the metric is the better
    factor: Inside
    patience: Whole  # epochs without improvement that are borne; the rate falls at the next one
    threshold: NotNegative  # an improvement must be larger than this
    max_reductions: Whole | None
    min_lr: NotNegative

    def start(self) -> Watch:
        return Watch(self)

    def watched(self) -> tuple[str, bool | None] | None:
        greater = None if self.mode is None else self.mode == "max"
        return None if self.metric is None else (self.metric, greater)

    def watching(self, metric: str, greater: bool) -> Schedule:
        return replace(self, metric=self.metric or metric, mode=self.mode or ("max" if greater else "min"))


class Seen(TypedDict):
    best: float | None
    bad_epochs: int
    reductions: int


class Watch(Course):
    """What has been seen of the metric, and how often the rate fell."""

    def __init__(self, schedule: Plateau):
        super().__init__(schedule)
        self.plateau = schedule
        self.best: float | None = None
        self.bad_epochs = 0
        self.reductions = 0

    def rate(self, base_lr: float, position: Position) -> float:
        rate = super().rate(base_lr, position)
        # the floor holds back reductions, not the warm-up nor a base rate that is lower still
        return max(rate, min(self.plateau.min_lr, base_lr)) if self.reductions else rate

    def decay(self, position: Position) -> float:
        return self.plateau.factor**self.reductions

    def observe(self, epochs_done: int, metrics: Mapping[str, float]) -> str | None:
        """Count epochs without improvement; those of the warm-up, and a metric that is not a number, never improve."""
        watching = self.plateau
        assert watching.metric is not None and watching.mode is not None, "settled with the configuration"
        value = metrics[watching.metric]
        if epochs_done <= watching.warmup_epochs:
            return None
        if isfinite(value) and self._improves(value):
            self.best, self.bad_epochs = value, 0
            return None
        self.bad_epochs += 1
        if self.bad_epochs <= watching.patience or self.reductions == watching.max_reductions:
            return None
        self.bad_epochs = 0
        self.reductions += 1
        return (
            f"{watching.metric} has not improved for {watching.patience + 1} epochs: "
            f"learning rate x {watching.factor:g}"
        )

    def _improves(self, value: float) -> bool:
        if self.best is None:
            return True
        gain = value - self.best if self.plateau.mode == "max" else self.best - value
        return gain > self.plateau.threshold

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "bad_epochs": self.bad_epochs, "reductions": self.reductions}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Raises TypeError where it is not what `state_dict` returns."""
        problem = unlike(state, Seen, "the schedule's state")
        if problem is not None:
            raise TypeError(problem)
        self.best, self.bad_epochs, self.reductions = state["best"], state["bad_epochs"], state["reductions"]
