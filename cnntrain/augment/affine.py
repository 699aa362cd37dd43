"""Small random rotations, shifts and changes of size: the distortions of LeCun et al. 1998, section III-A."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Interval

from cnntrain.augment.base import Augment, BatchTransform, Geometry
from cnntrain.core.limits import Fraction


@dataclass(frozen=True)
class Affine(Augment):
    moves_masks = True

    degrees: Annotated[float, Interval(ge=0, le=180)]  # rotation, at most, to either side
    shift: Fraction  # at most, as a fraction of the side
    scale: Fraction  # change of size, at most: 0.1 is from 0.9 to 1.1

    @property
    def moves_boxes(self) -> bool:
        return True

    def batch_transform(self, seen: Geometry) -> BatchTransform:
        from cnntrain.augment.batched.affine import RandomAffine

        return RandomAffine(self.degrees, self.shift, self.scale)
