"""Horizontal flip and a random crop from the zero-padded image, as for CIFAR in He et al. 2015, section 4.2."""

from __future__ import annotations

from dataclasses import dataclass

from cnntrain.augment.base import Augment, Geometry, Transform
from cnntrain.core.limits import Share, Whole


@dataclass(frozen=True)
class FlipCrop(Augment):
    padding: Whole  # pixels on each side
    flip: Share  # probability

    def train_transform(self, seen: Geometry) -> Transform:
        from torchvision.transforms import v2

        crop = v2.RandomCrop(seen.image_size, padding=self.padding)
        return v2.Compose([seen.fit, crop, v2.RandomHorizontalFlip(self.flip)])
