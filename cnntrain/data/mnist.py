"""Torchvision's MNIST."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnntrain.data.sets.idx import IdxSet
from cnntrain.data.sets.torchvision_sets import DIGITS

if TYPE_CHECKING:
    from cnntrain.data.sets.dataset import DataSet


@dataclass(frozen=True)
class Mnist(IdxSet):
    """The MNIST digits: 60,000 + 10,000 grey images of 28x28 pixels in 10 classes."""

    class_count = 10

    def load(self) -> DataSet:
        from torchvision.datasets import MNIST

        return self.load_idx(MNIST, DIGITS)
