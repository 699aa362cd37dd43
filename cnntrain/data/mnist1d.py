"""MNIST-1D: ten shapes of digits as signals, moved, stretched and under noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnntrain.data.base import Data
from cnntrain.data.sets.checks import refuse_download, refuse_root

if TYPE_CHECKING:
    from cnntrain.data.sets.dataset import DataSet


@dataclass(frozen=True)
class Mnist1d(Data):
    """4,000 signals for training and 1,000 for the test, of 40 values, in 10 classes, made here from the description
    and with the numbers of Greydanus 2020 (arXiv:2011.14439)."""

    dimensions = 1
    divides = True
    class_count = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_root(self)
        refuse_download(self)
        if self.channels != 1:
            raise ValueError(f"channels must be 1 for data=mnist1d, not {self.channels}")

    def load(self) -> DataSet:
        import numpy as np

        from cnntrain.data.sets.arrays import Arrays, divided_set
        from cnntrain.data.sets.drawn_signals import TRAIN, mnist1d

        signals, labels = mnist1d()
        values = signals[:, None].astype(np.float32)
        parts = {
            name: Arrays(values[part], labels[part], [f"{name}/{number}" for number in range(len(labels[part]))])
            for name, part in (("train", slice(TRAIN)), ("test", slice(TRAIN, None)))
        }
        return divided_set(self, parts, [str(digit) for digit in range(10)])
