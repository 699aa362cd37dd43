"""Your own images with their masks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from cnntrain.core.errors import InputError
from cnntrain.core.limits import Byte
from cnntrain.core.paths import absolute
from cnntrain.core.targets import Target
from cnntrain.data.base import Data
from cnntrain.data.sets.checks import refuse_download

if TYPE_CHECKING:
    from cnntrain.data.sets.dataset import DataSet

NAMES = "classes.txt"


@dataclass(frozen=True)
class MaskFolder(Data):
    """Either ``root/images`` and ``root/masks``, or such in ``root/train``, ``root/val`` and ``root/test``.

    A mask has its image's name and the ending .png; its pixels, of 8 bits, are numbers of classes. ``root/classes.txt``
    may name these, one a line; else they are called by their numbers.
    """

    divides = True
    target: ClassVar[Target] = "mask"
    several_labels = True  # of an image as a whole

    ignore: Byte | None  # the number of pixels that are ignored

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_download(self)
        if self.root is None:
            raise ValueError("root is required: data.root=<folder with images/ and masks/>")

    def load(self) -> DataSet:
        from cnntrain.data.sets.mask_files import mask_set, pairs_in
        from cnntrain.data.sets.stratify import PARTS

        assert self.root is not None
        root = Path(absolute(self.root))
        found = {part: pairs_in(root, root / part) for part in PARTS if (root / part).is_dir()}
        if found and "train" not in found:
            raise InputError(f"{root}: has {', '.join(found)} but no train folder")
        return mask_set(self, root, found or {"all": pairs_in(root, root)}, _names(root / NAMES), self.ignore)


def _names(path: Path) -> list[str] | None:
    """Those of the classes.

    Raises:
        InputError: a name stands twice, or it cannot be read.
    """
    if not path.exists():
        return None
    try:
        names = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    if len({*names}) < len(names) or not names:
        raise InputError(f"{path}: must name each class once, one a line")
    return names
