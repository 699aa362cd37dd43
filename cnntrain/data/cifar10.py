"""Torchvision's CIFAR10."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnntrain.data.sets import torchvision_sets

if TYPE_CHECKING:
    from cnntrain.data.sets.dataset import DataSet


@dataclass(frozen=True)
class Cifar10(torchvision_sets.TorchvisionSet):
    """CIFAR-10: 50,000 + 10,000 colour images of 32x32 pixels in 10 classes."""

    class_count = 10

    def load(self) -> DataSet:
        from torchvision.datasets import CIFAR10

        return self.load_from(CIFAR10, {"train": True}, {"train": False})
