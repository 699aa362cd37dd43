"""Small random rotations, shifts and changes of size: the distortions of LeCun et al. 1998, section III-A."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Interval

from cnntrain.augment.base import Augment, Geometry, Transform
from cnntrain.core.limits import Fraction


@dataclass(frozen=True)
class Affine(Augment):
    degrees: Annotated[float, Interval(ge=0, le=180)]  # rotation, at most, to either side
    shift: Fraction  # at most, as a fraction of the side
    scale: Fraction  # change of size, at most: 0.1 is from 0.9 to 1.1

    def train_transform(self, seen: Geometry) -> Transform:
        from torchvision.transforms import InterpolationMode, v2

        affine = v2.RandomAffine(
            self.degrees,
            translate=(self.shift, self.shift),
            scale=(1 - self.scale, 1 + self.scale),
            interpolation=InterpolationMode.BILINEAR,
        )
        return v2.Compose([seen.fit, affine])
