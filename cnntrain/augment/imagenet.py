"""Random resized crop and horizontal flip (Szegedy et al. 2014, section 6; the usual ImageNet training)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnntrain.augment.base import Augment, resize_and_crop

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class ImageNet(Augment):
    min_area: float  # the smallest crop, as a fraction of the image's area
    flip: float  # probability
    crop_fraction: float  # evaluation: the central crop over the resized shorter side

    def __post_init__(self) -> None:
        for key in ("min_area", "crop_fraction"):
            if not 0 < getattr(self, key) <= 1:
                raise ValueError(f"{key} must be above 0 and at most 1, not {getattr(self, key)}")
        if not 0 <= self.flip <= 1:
            raise ValueError(f"flip is a probability, not {self.flip}")

    def train_transform(self, image_size: int) -> Callable[[Tensor], Tensor]:
        from torchvision.transforms import v2

        return v2.Compose(
            [
                v2.RandomResizedCrop(image_size, scale=(self.min_area, 1.0), antialias=True),
                v2.RandomHorizontalFlip(self.flip),
            ]
        )

    def eval_transform(self, image_size: int) -> Callable[[Tensor], Tensor]:
        return resize_and_crop(round(image_size / self.crop_fraction), image_size)
