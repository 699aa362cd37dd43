"""Scikit-learn's handwritten digits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnntrain.data.base import Data
from cnntrain.data.sets.checks import refuse_download, refuse_root

if TYPE_CHECKING:
    from cnntrain.data.sets.dataset import DataSet


@dataclass(frozen=True)
class Digits(Data):
    """1,797 grey images of 8x8 pixels in 10 classes, which come with scikit-learn."""

    divides = True
    class_count = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_root(self)
        refuse_download(self)

    def load(self) -> DataSet:
        from cnntrain.data.sets.arrays import Arrays, divided_set
        from cnntrain.data.sets.handwritten import digits

        images, labels = digits()
        everything = Arrays(images[:, None], labels, [f"digits/{i}" for i in range(len(images))])
        classes = [str(digit) for digit in range(10)]
        return divided_set(self, {"all": everything}, classes, [0.8, 0.1, 0.1])
