"""Random resized crop and horizontal flip (Szegedy et al. 2014, section 6; the usual ImageNet training)."""

from __future__ import annotations

from dataclasses import dataclass

from cnntrain.augment.base import Augment, Geometry, Transform
from cnntrain.core.limits import Proportion, Share


@dataclass(frozen=True)
class ImageNet(Augment):
    min_area: Proportion  # the smallest crop, as a fraction of the image's area
    flip: Share  # probability

    def train_transform(self, seen: Geometry) -> Transform:
        from torchvision.transforms import InterpolationMode, v2

        how = InterpolationMode(seen.interpolation)
        crop = v2.RandomResizedCrop(seen.image_size, (self.min_area, 1.0), interpolation=how, antialias=True)
        return v2.Compose([crop, v2.RandomHorizontalFlip(self.flip)])
