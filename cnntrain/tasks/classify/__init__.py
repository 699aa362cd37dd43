"""One label an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from cnntrain.core.limits import NotNegative
from cnntrain.core.words import suggest
from cnntrain.tasks.base import Column, Objective, Task

GAMMA = 2.0  # of the focal loss's paper

COLUMNS = (
    Column("top1", "top-1", "accuracy", percent=True, complement="error", is_share=True),
    Column("top5", "top-5", "top-5 accuracy", percent=True, trivial_up_to=5, is_share=True),
    Column("loss", "loss", "loss", greater_is_better=False),
)


OF_ALL = (  # that need all samples at once
    Column("balanced_accuracy", "balanced", "balanced accuracy", percent=True, in_training=False),
    Column("macro_precision", "precision", "macro precision", percent=True, in_training=False),
    Column("macro_recall", "recall", "macro recall", percent=True, in_training=False),
    Column("macro_f1", "macro F1", "macro F1", percent=True, in_training=False),
    Column("weighted_f1", "weighted F1", "weighted F1", percent=True, in_training=False),
    Column("mcc", "MCC", "Matthews correlation", in_training=False),
    Column("kappa", "kappa", "Cohen's kappa", in_training=False),
    Column("roc_auc", "ROC AUC", "area under the ROC curve", in_training=False),
    Column("pr_auc", "PR AUC", "average precision", in_training=False),
    Column("ece", "ECE", "expected calibration error", greater_is_better=False, in_training=False),
    Column("brier", "Brier", "Brier score", greater_is_better=False, in_training=False),
)


@dataclass(frozen=True)
class Classify(Task):
    fixed: ClassVar[tuple[str, ...]] = ("loss", "gamma")

    metrics: list[str]  # further ones of an evaluation
    loss: Literal["cross_entropy", "focal", "bce"]
    gamma: NotNegative | None  # of focal; None: `GAMMA`

    def __post_init__(self) -> None:
        if self.gamma is not None and self.loss != "focal":
            raise ValueError(f"gamma={self.gamma:g} is of loss=focal, and the loss is {self.loss}: leave it out")
        for each in self.metrics:
            if each not in self.offered:
                raise ValueError(
                    f"metrics: {each} must be one of {', '.join(self.offered)}{suggest(each, self.offered)}"
                )

    @property
    def columns(self) -> Sequence[Column]:
        *first, loss = COLUMNS
        return *first, *(each for each in OF_ALL if each.name in self.metrics), loss

    @property
    def offered(self) -> Sequence[str]:
        return [each.name for each in OF_ALL]

    def temperature(self, logits: Any, labels: Any) -> float | None:
        from cnntrain.tasks.classify.calibration import temperature

        return temperature(logits, labels)

    def majority(self, targets: Any) -> float | None:
        """The share of the most frequent label of int64 labels [n]."""
        import numpy as np

        return float(np.bincount(targets).max() / len(targets))

    def start(
        self, label_smoothing: float, aux_weight: float, class_weights: Sequence[float] | None = None
    ) -> Objective:
        from cnntrain.tasks.classify.objective import Classification

        gamma = GAMMA if self.gamma is None else self.gamma
        return Classification(label_smoothing, aux_weight, self.metrics, self.loss, gamma, class_weights)
