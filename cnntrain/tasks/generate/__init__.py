"""Images like those of the data, made of random numbers: a generator that learns to deceive a discriminator
(Goodfellow et al. 2014, arXiv:1406.2661)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

from cnntrain.core.limits import Count, Place
from cnntrain.core.paths import absolute
from cnntrain.core.targets import Target
from cnntrain.tasks.base import Column, Objective, Task

if TYPE_CHECKING:
    from torch import Tensor

    from cnntrain.tasks.comparison import Comparison

FID = Column("fid", "FID", "Fréchet distance of a network's features", greater_is_better=False, in_training=False)
OF_PIXELS = Column(
    "pixel_distance", "pixels", "Fréchet distance of 8x8 pixels", greater_is_better=False, in_training=False
)
LOSSES = (
    Column("loss_d", "loss D", "the discriminator's loss", greater_is_better=False),
    Column("loss_g", "loss G", "the generator's loss", greater_is_better=False),
    Column("loss", "loss", "the sum of both losses", greater_is_better=False),
)


@dataclass(frozen=True)
class Generate(Task):
    """Judged by how far the distribution of made images is from that of the images of a part."""

    fixed: ClassVar[tuple[str, ...]] = ("samples", "features")  # of other ones the best value so far is no measure
    target: ClassVar[Target] = "image"

    samples: Count  # images that are made for an evaluation
    features: Place | None  # a run of a classifier, or weights of Inception-v3; None: pixels are compared

    def __post_init__(self) -> None:
        if self.samples < 2:
            raise ValueError("samples must be 2 at least: one image has no spread")

    @property
    def columns(self) -> Sequence[Column]:
        return (OF_PIXELS if self.features is None else FID, *LOSSES)

    def settled(self) -> Self:
        return self if self.features is None else replace(self, features=absolute(self.features))

    def start(
        self, label_smoothing: float, aux_weight: float, class_weights: Sequence[float] | None = None
    ) -> Objective:
        """Pixels are compared. Label smoothing is one-sided (Salimans et al. 2016, arXiv:1606.03498): real images are
        to be taken for real with a probability of 1 less it."""
        from cnntrain.tasks.generate.objective import Generation, shrunk

        return Generation(self.columns[0].name, label_smoothing, self.samples, shrunk)

    def comparison(self, temperature: float) -> Comparison:
        """By made images, of which no logits are divided."""
        from cnntrain.tasks.generate.comparison import OfMade

        return OfMade(self.samples)

    def comparing(self, label_smoothing: float, features: Callable[[Tensor], Tensor]) -> Objective:
        """The same by features of images, uint8 [batch, channels, height, width] to [batch, size]."""
        from cnntrain.tasks.generate.objective import Generation

        return Generation(self.columns[0].name, label_smoothing, self.samples, features)
