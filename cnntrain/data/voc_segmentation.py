"""PASCAL VOC's images with masks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from cnntrain.core.errors import InputError
from cnntrain.core.paths import absolute
from cnntrain.core.targets import IGNORE, Target
from cnntrain.data.base import Data

if TYPE_CHECKING:
    from cnntrain.data.sets.dataset import DataSet

CLASSES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
    "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip


@dataclass(frozen=True)
class VocSegmentation(Data):
    """Everingham et al. 2010: its train and val parts, in 21 classes; the borders of objects are ignored."""

    class_count = 21
    target: ClassVar[Target] = "mask"
    several_labels = True  # of an image as a whole

    year: Literal["2007", "2008", "2009", "2010", "2011", "2012"]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.root is None:
            raise ValueError("root is required: the folder where the files are, or are downloaded to")
        if self.split is not None:
            raise ValueError("split has no meaning for data=voc_segmentation, which has its own parts: leave it null")

    def load(self) -> DataSet:
        """Raises InputError where the files are not there and cannot be downloaded."""
        from torchvision.datasets import VOCSegmentation

        from cnntrain.data.sets.mask_files import Pair, mask_set

        assert self.root is not None
        root, found = Path(absolute(self.root)), {}
        for part in ("train", "val"):
            try:
                opened = VOCSegmentation(str(root), self.year, part, download=self.download and part == "train")
            except (RuntimeError, OSError) as error:
                raise InputError(
                    f"data.root={root}: VOC {self.year} is not there ({error}): data.download=true fetches it, or put "
                    "VOCdevkit there"
                ) from error
            pairs = zip(opened.images, opened.masks, strict=True)
            found[part] = [Pair(*(Path(each).relative_to(root).as_posix() for each in pair)) for pair in pairs]
        return mask_set(self, root, found, CLASSES, IGNORE)
