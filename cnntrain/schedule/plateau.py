"""The learning rate falls by a factor when a metric has stopped improving: the recipe of AlexNet, VGG and ResNet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal

from cnntrain.schedule.base import Position, Schedule, check_factor


@dataclass
class Plateau(Schedule):
    metric: Literal["val/top1", "val/top5", "val/loss", "train/loss"]
    mode: Literal["max", "min"]
    factor: float
    patience: int  # epochs without improvement that are borne; the rate falls at the next one
    threshold: float  # an improvement must be larger than this
    max_reductions: int | None
    min_lr: float

    def __post_init__(self) -> None:
        super().__post_init__()
        check_factor(self.factor)
        for key in ("patience", "threshold", "max_reductions", "min_lr"):
            value = getattr(self, key)
            if value is not None and not value >= 0:
                raise ValueError(f"{key} must be at least 0, not {value}")
        if self.mode != ("min" if self.metric.endswith("loss") else "max"):
            raise ValueError(f"mode={self.mode} does not go with metric={self.metric}")
        self.best: float | None = None
        self.bad_epochs = 0
        self.reductions = 0

    def rate(self, base_lr: float, position: Position) -> float:
        rate = super().rate(base_lr, position)
        # the floor holds back reductions, not the warm-up nor a base rate that is lower still
        return max(rate, min(self.min_lr, base_lr)) if self.reductions else rate

    def decay(self, position: Position) -> float:
        return self.factor**self.reductions

    def observe(self, epochs_done: int, metrics: Mapping[str, float]) -> str | None:
        """Count epochs without improvement; those of the warm-up, and a metric that is not a number, never improve."""
        value = metrics[self.metric]
        if epochs_done <= self.warmup_epochs:
            return None
        if isfinite(value) and self._improves(value):
            self.best, self.bad_epochs = value, 0
            return None
        self.bad_epochs += 1
        if self.bad_epochs <= self.patience or self.reductions == self.max_reductions:
            return None
        self.bad_epochs = 0
        self.reductions += 1
        return f"{self.metric} has not improved for {self.patience + 1} epochs: learning rate x {self.factor:g}"

    def _improves(self, value: float) -> bool:
        if self.best is None:
            return True
        gain = value - self.best if self.mode == "max" else self.best - value
        return gain > self.threshold

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "bad_epochs": self.bad_epochs, "reductions": self.reductions}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best, self.bad_epochs, self.reductions = state["best"], state["bad_epochs"], state["reductions"]
