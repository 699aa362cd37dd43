"""Torchvision's MNIST."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnntrain.data.sets import torchvision_sets

if TYPE_CHECKING:
    from cnntrain.data.sets.dataset import DataSet


@dataclass(frozen=True)
class Mnist(torchvision_sets.TorchvisionSet):
    """The MNIST digits: 60,000 + 10,000 grey images of 28x28 pixels in 10 classes."""

    class_count = 10

    def load(self) -> DataSet:
        from torchvision.datasets import MNIST

        return self.load_from(MNIST, {"train": True}, {"train": False}, torchvision_sets.DIGITS)
