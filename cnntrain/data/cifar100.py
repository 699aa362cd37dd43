"""Torchvision's CIFAR100."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnntrain.data.sets import torchvision_sets

if TYPE_CHECKING:
    from cnntrain.data.sets.dataset import DataSet


@dataclass(frozen=True)
class Cifar100(torchvision_sets.TorchvisionSet):
    """CIFAR-100: 50,000 + 10,000 colour images of 32x32 pixels in 100 (fine) classes."""

    class_count = 100

    def load(self) -> DataSet:
        from torchvision.datasets import CIFAR100

        return self.load_from(CIFAR100, {"train": True}, {"train": False})
