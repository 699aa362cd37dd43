"""Horizontal flip and a random crop from the padded image, as for CIFAR in He et al. 2015, section 4.2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cnntrain.augment.base import Augment, BatchTransform, Geometry
from cnntrain.core.errors import ConfigError
from cnntrain.core.limits import Share, Whole


@dataclass(frozen=True)
class FlipCrop(Augment):
    moves_masks = True

    padding: Whole  # pixels on each side
    flip: Share  # probability
    padding_mode: Literal["constant", "reflect"]  # what is in them: black, or the image mirrored at its rim
    alternate_flip: bool  # which way round an image is first is drawn once, and then it turns with each epoch

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.alternate_flip and self.flip != 0.5:
            raise ValueError(
                f"alternate_flip=true mirrors each image in every second epoch: it goes with flip=0.5, not {self.flip}"
            )

    @property
    def moves_boxes(self) -> bool:
        """Not where a border shows objects of which no box is known."""
        return self.padding_mode == "constant"

    def batch_transform(self, seen: Geometry) -> BatchTransform:
        """Raises ConfigError where the image is too small to be mirrored so far."""
        from cnntrain.augment.batched.shifts import ShiftFlip

        if self.padding_mode == "reflect" and self.padding >= seen.image_size:
            raise ConfigError(
                f"augment.padding={self.padding} with padding_mode=reflect needs images of more pixels a side than "
                f"{seen.image_size}"
            )
        return ShiftFlip(self.padding, self.flip, self.padding_mode == "reflect", self.alternate_flip)
