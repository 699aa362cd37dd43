"""No augmentation: training images are treated as evaluation images are."""

from __future__ import annotations

from dataclasses import dataclass

from cnntrain.augment.base import Augment


@dataclass(frozen=True)
class NoAugment(Augment):
    dimensions = frozenset({1, 2, 3})
    moves_masks = True

    @property
    def moves_boxes(self) -> bool:
        return True

    @property
    def varies(self) -> bool:
        return False
