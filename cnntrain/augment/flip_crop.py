"""Horizontal flip and a random crop from the zero-padded image, as for CIFAR in He et al. 2015, section 4.2."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnntrain.augment.base import Augment, resize_and_crop

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class FlipCrop(Augment):
    padding: int  # pixels on each side
    flip: float  # probability

    def __post_init__(self) -> None:
        if self.padding < 0:
            raise ValueError(f"padding must be at least 0, not {self.padding}")
        if not 0 <= self.flip <= 1:
            raise ValueError(f"flip is a probability, not {self.flip}")

    def train_transform(self, image_size: int) -> Callable[[Tensor], Tensor]:
        from torchvision.transforms import v2

        return v2.Compose(
            [
                resize_and_crop(image_size, image_size),
                v2.RandomCrop(image_size, padding=self.padding),
                v2.RandomHorizontalFlip(self.flip),
            ]
        )
