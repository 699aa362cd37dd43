"""PASCAL VOC's masks of classes, read by torchvision."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from cnntrain.core.targets import IGNORE, Target
from cnntrain.data.sets.voc import CLASSES, Voc

if TYPE_CHECKING:
    from cnntrain.data.sets.dataset import DataSet


@dataclass(frozen=True)
class VocSegmentation(Voc):
    """In 21 classes, the background being the first; the borders of objects are ignored."""

    class_count = 1 + len(CLASSES)
    target: ClassVar[Target] = "mask"

    def load(self) -> DataSet:
        """Raises InputError where the files are not there and cannot be downloaded."""
        from torchvision.datasets import VOCSegmentation

        from cnntrain.data.sets.mask_files import Pair, mask_set

        root, found = self.folder, {}
        for part, opened in self.opened(VOCSegmentation).items():
            pairs = zip(opened.images, opened.masks, strict=True)
            found[part] = [Pair(*(Path(each).relative_to(root).as_posix() for each in pair)) for pair in pairs]
        return mask_set(self, root, found, ["background", *CLASSES], IGNORE)
