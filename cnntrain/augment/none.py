"""No augmentation: training images are treated as evaluation images are."""

from __future__ import annotations

from dataclasses import dataclass

from cnntrain.augment.base import Augment, Geometry, Transform


@dataclass(frozen=True)
class NoAugment(Augment):
    def train_transform(self, seen: Geometry) -> Transform:
        return seen.fit

    @property
    def is_random(self) -> bool:
        return False
