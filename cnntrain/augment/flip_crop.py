"""Horizontal flip and a random crop from the zero-padded image, as for CIFAR in He et al. 2015, section 4.2."""

from __future__ import annotations

from dataclasses import dataclass

from cnntrain.augment.base import Augment, BatchTransform, Geometry
from cnntrain.core.limits import Share, Whole


@dataclass(frozen=True)
class FlipCrop(Augment):
    moves_masks = True

    padding: Whole  # pixels on each side
    flip: Share  # probability

    def batch_transform(self, seen: Geometry) -> BatchTransform:
        from cnntrain.augment.batched.shifts import ShiftFlip

        return ShiftFlip(self.padding, self.flip)
