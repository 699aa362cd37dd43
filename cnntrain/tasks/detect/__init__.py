"""Objects in boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from cnntrain.core.targets import Target
from cnntrain.tasks.base import Column, Objective, Task

if TYPE_CHECKING:
    import torch

    from cnntrain.tasks.comparison import Comparison
    from cnntrain.tasks.score import Score

Further = Literal["map75", "mask_map", "mask_map50"]
FIRST = (
    Column("map", "mAP", "mean average precision", percent=True, in_training=False),
    Column("map50", "mAP@50", "mean average precision at an overlap of 50%", percent=True, in_training=False),
)
FURTHER = {
    "map75": Column("map75", "mAP@75", "mean average precision at an overlap of 75%", percent=True, in_training=False),
    "mask_map": Column("mask_map", "mask mAP", "mean average precision of masks", percent=True, in_training=False),
    "mask_map50": Column(
        "mask_map50", "mask mAP@50", "mean average precision of masks at an overlap of 50%", percent=True,
        in_training=False,
    ),
}  # fmt: skip
LOSS = Column("loss", "loss", "loss", greater_is_better=False)


@dataclass(frozen=True)
class Detect(Task):
    """Images with boxes, judged as COCO is (Lin et al. 2014, arXiv:1405.0312)."""

    target: ClassVar[Target] = "boxes"

    metrics: list[Further]

    def __post_init__(self) -> None:
        twice = sorted({each for each in self.metrics if self.metrics.count(each) > 1})
        if twice:
            raise ValueError(f"metrics names {', '.join(twice)} twice")

    @property
    def columns(self) -> Sequence[Column]:
        return (*FIRST, *(each for name, each in FURTHER.items() if name in self.metrics), LOSS)

    @property
    def offered(self) -> Sequence[str]:
        return tuple(FURTHER)

    @property
    def of_masks(self) -> bool:
        """Whether objects' masks are judged, too."""
        return any(each.startswith("mask_") for each in self.metrics)

    def intervals(self, values: Mapping[str, float], answers: Any) -> dict[str, list[float]]:
        """By bootstrap over images."""
        from cnntrain.tasks.detect.resampling import intervals

        return {} if answers is None or not len(answers) else intervals(answers.rows, self.columns)

    def comparison(self, temperature: float) -> Comparison:
        """By what is found; scores are divided by nothing."""
        from cnntrain.tasks.detect.comparison import OfDetections

        return OfDetections()

    def made_up(self, count: int, classes: int, side: int, device: torch.device) -> Any:
        """An object an image, in its middle."""
        import torch

        labels = super().made_up(count, classes, side, device)
        box = torch.tensor([side / 4, side / 4, 3 * side / 4, 3 * side / 4], device=device)
        instances = torch.zeros(count, side, side, dtype=torch.uint8, device=device)
        instances[:, side // 4 : 3 * side // 4, side // 4 : 3 * side // 4] = 1
        return {
            "boxes": box.expand(count, 1, 4),
            "labels": labels[:, None],
            "ignored": torch.zeros(count, 1, dtype=torch.bool, device=device),
            "instances": instances,
        }

    def score(self, outputs: Any, classes: int, temperature: float | None = None) -> Score:
        from cnntrain.tasks.detect.score import BoxScore

        return BoxScore(outputs, classes)

    def start(
        self, label_smoothing: float, aux_weight: float, class_weights: Sequence[float] | None = None
    ) -> Objective:
        """Raises ConfigError where the package that judges boxes is not installed."""
        from cnntrain.core.extras import needed

        needed("task=detect", "pycocotools", "detect")
        from cnntrain.tasks.detect.objective import Detection

        return Detection(self.columns, self.of_masks)
