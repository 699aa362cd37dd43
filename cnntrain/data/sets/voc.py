"""What is common to PASCAL VOC's sets, which torchvision finds and fetches."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cnntrain.core.errors import InputError
from cnntrain.core.paths import absolute
from cnntrain.data.base import Data

CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip


@dataclass(frozen=True)
class Voc(Data):
    """Everingham et al. 2010: its train and val parts."""

    several_labels = True  # of an image as a whole

    year: Literal["2007", "2008", "2009", "2010", "2011", "2012"]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.root is None:
            raise ValueError("root is required: the folder where the files are, or are downloaded to")
        if self.split is not None:
            raise ValueError(f"split has no meaning for data={self.name}, which has its own parts: leave it null")

    @property
    def folder(self) -> Path:
        assert self.root is not None
        return Path(absolute(self.root))

    def opened(self, kind: Any) -> dict[str, Any]:
        """Of each part torchvision's object, of class `kind`.

        Raises:
            InputError: the files are not there and cannot be downloaded.
        """
        try:
            return {
                part: kind(str(self.folder), self.year, part, download=self.download and part == "train")
                for part in ("train", "val")
            }
        except (RuntimeError, OSError) as error:
            raise InputError(
                f"data.root={self.folder}: VOC {self.year} is not there ({error}): data.download=true fetches it, or "
                "put VOCdevkit there"
            ) from error
