"""PASCAL VOC's objects in boxes, read by torchvision."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from cnntrain.core.targets import Target
from cnntrain.data.sets.voc import CLASSES, Voc

if TYPE_CHECKING:
    from cnntrain.data.sets.dataset import DataSet


@dataclass(frozen=True)
class VocDetection(Voc):
    """In 20 classes; objects that are marked as difficult count neither way."""

    class_count = len(CLASSES)
    target: ClassVar[Target] = "boxes"

    def load(self) -> DataSet:
        """Raises InputError where the files are not there and cannot be downloaded, or one is damaged."""
        from torchvision.datasets import VOCDetection

        from cnntrain.data.sets.box_files import box_set
        from cnntrain.data.sets.voc_xml import described

        root, found = self.folder, {}
        for part, opened in self.opened(VOCDetection).items():
            pairs = zip(opened.images, opened.annotations, strict=True)
            found[part] = [described(Path(notes), Path(image).relative_to(root), CLASSES) for image, notes in pairs]
        return box_set(self, root, found, CLASSES)
