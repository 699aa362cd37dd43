"""Random resized crop and horizontal flip (Szegedy et al. 2014, section 6; the usual ImageNet training)."""

from __future__ import annotations

from dataclasses import dataclass

from cnntrain.augment.base import Augment, BatchTransform, DrawnTransform, Geometry, PackedTransform
from cnntrain.core.limits import Proportion, Share


@dataclass(frozen=True)
class ImageNet(Augment):
    moves_masks = True

    min_area: Proportion  # the smallest crop, as a fraction of the image's area
    flip: Share  # probability

    @property
    def moves_boxes(self) -> bool:
        return True

    def drawn_transform(self, seen: Geometry) -> DrawnTransform:
        """The crop is taken of the image in its own size."""
        from cnntrain.augment.batched.crops import ResizedCrop, smallest

        least = seen.least(seen.image_size / smallest(self.min_area))
        return ResizedCrop(seen.image_size, self.min_area, seen.interpolation, least)

    def packed_transform(self, seen: Geometry) -> PackedTransform | None:
        from cnntrain.augment.batched.packed import FILTERS, PackedCrop

        if seen.interpolation not in FILTERS:
            return None
        return PackedCrop(seen.image_size, self.min_area, seen.interpolation)

    def batch_transform(self, seen: Geometry) -> BatchTransform:
        from cnntrain.augment.batched.shifts import ShiftFlip

        return ShiftFlip(0, self.flip)
