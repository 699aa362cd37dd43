"""Small random rotations, shifts and changes of size: the distortions of LeCun et al. 1998, section III-A."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnntrain.augment.base import Augment, resize_and_crop

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class Affine(Augment):
    degrees: float  # rotation, at most, to either side
    shift: float  # at most, as a fraction of the side
    scale: float  # change of size, at most: 0.1 is from 0.9 to 1.1

    def __post_init__(self) -> None:
        if not 0 <= self.degrees <= 180:
            raise ValueError(f"degrees must be between 0 and 180, not {self.degrees}")
        for key in ("shift", "scale"):
            if not 0 <= getattr(self, key) < 1:
                raise ValueError(f"{key} must be in [0, 1), not {getattr(self, key)}")

    def train_transform(self, image_size: int) -> Callable[[Tensor], Tensor]:
        from torchvision.transforms import InterpolationMode, v2

        affine = v2.RandomAffine(
            self.degrees,
            translate=(self.shift, self.shift),
            scale=(1 - self.scale, 1 + self.scale),
            interpolation=InterpolationMode.BILINEAR,
        )
        return v2.Compose([resize_and_crop(image_size, image_size), affine])
