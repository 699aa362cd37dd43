"""No augmentation: training images are treated as evaluation images are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnntrain.augment.base import Augment

if TYPE_CHECKING:
    from torchvision.transforms.v2 import Transform


@dataclass
class NoAugment(Augment):
    def train_transform(self, image_size: int) -> Transform:
        return self.eval_transform(image_size)

    @property
    def is_random(self) -> bool:
        return False
