"""Torchvision's SVHN."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnntrain.data.sets import torchvision_sets

if TYPE_CHECKING:
    from cnntrain.data.sets.dataset import DataSet


@dataclass(frozen=True)
class Svhn(torchvision_sets.TorchvisionSet):
    """Street View House Numbers, cropped: 73,257 + 26,032 colour images of 32x32 pixels in 10 classes."""

    class_count = 10

    def load(self) -> DataSet:
        from torchvision.datasets import SVHN

        return self.load_from(SVHN, {"split": "train"}, {"split": "test"}, torchvision_sets.DIGITS)
