"""Objects in boxes, described as COCO does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from cnntrain.core.errors import InputError
from cnntrain.core.paths import absolute
from cnntrain.core.targets import Target
from cnntrain.data.base import Data
from cnntrain.data.sets.checks import refuse_download

if TYPE_CHECKING:
    from cnntrain.data.sets.box_files import Described
    from cnntrain.data.sets.dataset import DataSet

PART = "{part}"


@dataclass(frozen=True)
class Coco(Data):
    """A JSON file for each part, or one for all, which `split` divides; crowds count neither way."""

    divides = True
    target: ClassVar[Target] = "boxes"
    several_labels = True  # of an image as a whole

    annotations: str  # below root; {part} stands for train, val and test, else it is one file for all
    images: str  # their folder below root, with {part} alike; empty: root
    masks: bool  # whether objects' outlines are read, for model=mask_rcnn

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_download(self)
        if self.root is None:
            raise ValueError("root is required: data.root=<folder with the annotations and the images>")

    def load(self) -> DataSet:
        from cnntrain.core.extras import needed
        from cnntrain.data.sets.box_files import box_set
        from cnntrain.data.sets.coco_json import described, pixels
        from cnntrain.data.sets.stratify import PARTS

        assert self.root is not None
        if self.masks:
            needed("data.masks=true", "pycocotools", "detect")
        root, names, empty = Path(absolute(self.root)), list[str](), 0
        found: dict[str, list[Described]] = {}
        for part in PARTS if PART in self.annotations else ("all",):
            path = root / self.annotations.replace(PART, part)
            if part in ("val", "test") and not path.exists():
                continue
            classes, found[part], left_out = described(path, self.images.replace(PART, part), self.masks)
            if names and classes != names:
                raise InputError(f"{path}: has other categories than the file of train")
            names, empty = classes, empty + left_out
        notes = [f"{empty:,} objects without an area are left out"] if empty else []
        return box_set(self, root, found, names, notes, pixels if self.masks else None)
