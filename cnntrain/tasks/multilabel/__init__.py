"""Any number of labels an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from cnntrain.core.limits import NotNegative, Share
from cnntrain.core.targets import Target
from cnntrain.tasks.base import Column, Objective, Task

if TYPE_CHECKING:
    import torch
    from torch import Tensor

GAMMA = {"bce": 0.0, "focal": 2.0, "asymmetric": 4.0}  # of their papers
MARGIN = 0.05

COLUMNS = (
    Column("map", "mAP", "mean average precision", percent=True, in_training=False),
    Column("macro_f1", "macro F1", "macro F1", percent=True),
    Column("micro_f1", "micro F1", "micro F1", percent=True),
    Column("subset_accuracy", "all right", "share of images with all labels right", percent=True, is_share=True),
    Column("hamming", "Hamming", "Hamming loss", percent=True, greater_is_better=False),
    Column("loss", "loss", "loss", greater_is_better=False),
)


@dataclass(frozen=True)
class Multilabel(Task):
    fixed: ClassVar[tuple[str, ...]] = ("loss", "gamma", "margin")
    target: ClassVar[Target] = "labels"

    loss: Literal["bce", "focal", "asymmetric"]
    gamma: NotNegative | None  # of focal; of asymmetric that of labels that an image has not; None: as `GAMMA`
    margin: Share | None  # of asymmetric; None: `MARGIN`

    def __post_init__(self) -> None:
        if self.gamma is not None and self.loss == "bce":
            raise ValueError(f"gamma={self.gamma:g} is of loss=focal or asymmetric, and the loss is bce: leave it out")
        if self.margin is not None and self.loss != "asymmetric":
            raise ValueError(f"margin={self.margin:g} is of loss=asymmetric, and the loss is {self.loss}: leave it out")

    @property
    def columns(self) -> Sequence[Column]:
        return COLUMNS

    def majority(self, targets: Any) -> float | None:
        """The mean average precision of scores that are alike for all images: the labels' mean frequency, over those
        that occur.

        Args:
            targets: bool [n, classes].
        """
        counts = targets.sum(0)
        return float(counts[counts > 0].mean() / len(targets)) if counts.any() else None

    def probabilities(self, logits: Tensor) -> Tensor:
        return logits.sigmoid()

    def made_up(self, count: int, classes: int, side: int, device: torch.device) -> Tensor:
        from torch.nn.functional import one_hot

        return one_hot(super().made_up(count, classes, side, device), classes).bool()

    def start(
        self, label_smoothing: float, aux_weight: float, class_weights: Sequence[float] | None = None
    ) -> Objective:
        from cnntrain.tasks.multilabel.criterion import Form
        from cnntrain.tasks.multilabel.objective import MultilabelClassification

        gamma = GAMMA[self.loss] if self.gamma is None else self.gamma
        form = Form(self.loss, gamma, MARGIN if self.margin is None else self.margin)
        return MultilabelClassification(form, label_smoothing, aux_weight, class_weights)
