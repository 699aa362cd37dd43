"""No augmentation: training images are treated as evaluation images are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnntrain.augment.base import Augment

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class NoAugment(Augment):
    def train_transform(self, image_size: int) -> Callable[[Tensor], Tensor]:
        return self.eval_transform(image_size)

    @property
    def is_random(self) -> bool:
        return False
