"""Torchvision's STL10."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnntrain.data.sets import torchvision_sets

if TYPE_CHECKING:
    from cnntrain.data.sets.dataset import DataSet

CLASSES = ["airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck"]


@dataclass(frozen=True)
class Stl10(torchvision_sets.TorchvisionSet):
    """STL-10: 5,000 + 8,000 colour images of 96x96 pixels in 10 classes. Unlabelled ones are not used."""

    class_count = 10

    def load(self) -> DataSet:
        from torchvision.datasets import STL10

        return self.load_from(STL10, {"split": "train"}, {"split": "test"}, CLASSES)
