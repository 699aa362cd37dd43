"""One label an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cnntrain.tasks.base import Column, Objective, Task

COLUMNS = (
    Column("top1", "top-1", "accuracy", percent=True, complement="error", is_share=True),
    Column("top5", "top-5", "top-5 accuracy", percent=True, trivial_up_to=5, is_share=True),
    Column("loss", "loss", "loss", greater_is_better=False),
)


@dataclass(frozen=True)
class Classify(Task):
    @property
    def columns(self) -> Sequence[Column]:
        return COLUMNS

    def majority(self, targets: Any) -> float | None:
        """The share of the most frequent label of int64 labels [n]."""
        import numpy as np

        return float(np.bincount(targets).max() / len(targets))

    def start(self, label_smoothing: float, aux_weight: float) -> Objective:
        from cnntrain.tasks.classify.objective import Classification

        return Classification(label_smoothing, aux_weight)
