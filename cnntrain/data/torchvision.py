"""Torchvision's other sets for classification, by one adapter and a table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cnntrain.core.paths import absolute
from cnntrain.data.base import Data
from cnntrain.data.sets.checks import refuse_download

if TYPE_CHECKING:
    from cnntrain.data.sets.dataset import DataSet

Class = Literal[
    "Caltech101", "Caltech256", "CelebA", "Country211", "DTD", "EMNIST", "EuroSAT", "FER2013", "FGVCAircraft",
    "Flowers102", "Food101", "GTSRB", "INaturalist", "ImageNet", "Imagenette", "KMNIST", "Omniglot", "OxfordIIITPet",
    "PCAM", "Places365", "QMNIST", "RenderedSST2", "SEMEION", "SUN397", "StanfordCars", "USPS",
]  # fmt: skip
WITHOUT_DOWNLOAD = ("FER2013", "ImageNet", "StanfordCars")


@dataclass(frozen=True)
class Torchvision(Data):
    """A set that torchvision knows where to find and how to divide; its images are decoded by us, as a folder's are.

    Where it has no val part, that is carved from train, and where it has no parts, all are by `split`.
    """

    divides = True
    of_files = True
    dataset: Class  # of torchvision.datasets

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.root is None:
            raise ValueError("root is required: the folder where the files are, or are downloaded to")
        if self.dataset in WITHOUT_DOWNLOAD:
            refuse_download(self)

    def load(self) -> DataSet:
        from cnntrain.data.sets.torchvision_files import load

        assert self.root is not None
        return load(self, Path(absolute(self.root)), self.dataset)
