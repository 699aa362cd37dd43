"""A class for each pixel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from cnntrain.core.targets import Target
from cnntrain.tasks.base import Column, Objective, Task

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from cnntrain.tasks.comparison import Comparison
    from cnntrain.tasks.score import Score

COLUMNS = (
    Column("miou", "mIoU", "mean intersection over union", percent=True),
    Column("pixel_accuracy", "pixels", "pixel accuracy", percent=True),
    Column("mean_accuracy", "mean acc.", "mean accuracy of the classes", percent=True),
    Column("loss", "loss", "loss", greater_is_better=False),
)


@dataclass(frozen=True)
class Segment(Task):
    """Images with masks, in which pixels of `IGNORE` count for nothing."""

    target: ClassVar[Target] = "mask"

    @property
    def columns(self) -> Sequence[Column]:
        return COLUMNS

    def intervals(self, values: Mapping[str, float], answers: Any) -> dict[str, list[float]]:
        """By bootstrap over images: the pixels of one are not independent."""
        from cnntrain.tasks.segment.resampling import intervals

        return {} if answers is None or not len(answers) else intervals(answers.counts)

    def made_up(self, count: int, classes: int, side: int, device: torch.device) -> Tensor:
        labels: Tensor = super().made_up(count, classes, side, device)
        return labels.byte()[:, None, None].expand(count, side, side)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Of each pixel, of logits [batch, classes, height, width]."""
        return logits.softmax(1)

    def score(self, outputs: Any, classes: int, temperature: float | None = None) -> Score:
        from cnntrain.tasks.segment.score import PixelScore

        return PixelScore(outputs)

    def comparison(self, temperature: float) -> Comparison:
        """By pixels, those that are ignored included."""
        from cnntrain.tasks.comparison import OfProbabilities

        return OfProbabilities(lambda logits: self.probabilities(logits / temperature), 1, "pixels")

    def start(
        self, label_smoothing: float, aux_weight: float, class_weights: Sequence[float] | None = None
    ) -> Objective:
        from cnntrain.tasks.segment.objective import Segmentation

        return Segmentation(label_smoothing, aux_weight, class_weights)
