"""PASCAL VOC's objects in boxes, read by torchvision."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from cnntrain.core.errors import InputError
from cnntrain.core.paths import absolute
from cnntrain.core.targets import Target
from cnntrain.data.base import Data

if TYPE_CHECKING:
    from cnntrain.data.sets.dataset import DataSet


@dataclass(frozen=True)
class VocDetection(Data):
    """Everingham et al. 2010: its train and val parts, in 20 classes; objects that are marked as difficult count
    neither way."""

    class_count = 20
    target: ClassVar[Target] = "boxes"
    several_labels = True  # of an image as a whole

    year: Literal["2007", "2008", "2009", "2010", "2011", "2012"]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.root is None:
            raise ValueError("root is required: the folder where the files are, or are downloaded to")
        if self.split is not None:
            raise ValueError("split has no meaning for data=voc_detection, which has its own parts: leave it null")

    def load(self) -> DataSet:
        """Raises InputError where the files are not there and cannot be downloaded, or one is damaged."""
        from torchvision.datasets import VOCDetection

        from cnntrain.data.sets.box_files import box_set
        from cnntrain.data.sets.voc_xml import described
        from cnntrain.data.voc_segmentation import CLASSES

        assert self.root is not None
        root, found, names = Path(absolute(self.root)), {}, CLASSES[1:]
        for part in ("train", "val"):
            try:
                opened = VOCDetection(str(root), self.year, part, download=self.download and part == "train")
            except (RuntimeError, OSError) as error:
                raise InputError(
                    f"data.root={root}: VOC {self.year} is not there ({error}): data.download=true fetches it, or put "
                    "VOCdevkit there"
                ) from error
            pairs = zip(opened.images, opened.annotations, strict=True)
            found[part] = [described(Path(notes), Path(image).relative_to(root), names) for image, notes in pairs]
        return box_set(self, root, found, names)
