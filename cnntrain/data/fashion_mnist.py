"""Torchvision's FashionMNIST."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnntrain.data.sets.idx import IdxSet

if TYPE_CHECKING:
    from cnntrain.data.sets.dataset import DataSet


@dataclass(frozen=True)
class FashionMnist(IdxSet):
    """Fashion-MNIST: 60,000 + 10,000 grey images of 28x28 pixels of 10 kinds of clothing."""

    class_count = 10

    def load(self) -> DataSet:
        from torchvision.datasets import FashionMNIST

        return self.load_idx(FashionMNIST, FashionMNIST.classes)
