"""MNIST and its like: four files of LeCun's idx format, wherever below the root they lie, packed by gzip or not."""

from __future__ import annotations

import gzip
import hashlib
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnntrain.core.errors import InputError
from cnntrain.data.sets.torchvision_sets import TorchvisionSet

if TYPE_CHECKING:
    import numpy as np

    from cnntrain.data.sets.arrays import Arrays
    from cnntrain.data.sets.dataset import DataSet

NAMES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
DAMAGE = (OSError, EOFError, ValueError, zlib.error)  # what gzip and `_values` raise
BYTES = b"\0\0\x08"  # how a file of unsigned bytes begins, before the number of its dimensions
# md5 of what was published, without gzip: the names of the files are the same
PUBLISHED = {
    "6bbc9ace898e44ae57da46a324031adb": "MNIST",
    "a25bea736e30d166cdddb491f175f624": "MNIST",
    "2646ac647ad5339dbf082846283269ea": "MNIST",
    "27ae3e4e09519cfbb04c329615203637": "MNIST",
    "f4a8712d7a061bf5bd6d2ca38dc4d50a": "FashionMNIST",
    "9018921c3c673c538a1fc5bad174d6f9": "FashionMNIST",
    "8181f5470baa50b63fa0f6fddb340f0a": "FashionMNIST",
    "15d484375f8d13e6eb1aabb0c3f46965": "FashionMNIST",
}


@dataclass(frozen=True)
class IdxSet(TorchvisionSet):
    """A set that torchvision can download; what is there already is judged by its content, however it is packed."""

    def load_idx(self, kind: Any, classes: Sequence[str]) -> DataSet:
        """Load the set of torchvision's class `kind`.

        Raises:
            InputError: files are missing and cannot be downloaded, are damaged, or are another set's.
        """
        folder = self._files_in(kind)
        if folder is None:
            self._open(kind, {"train": True})
            folder = self._files_in(kind)
        if folder is None:  # torchvision has found files of its earlier releases
            return self.load_from(kind, {"train": True}, {"train": False}, classes)
        from cnntrain.data.sets.arrays import divided_set

        unknown: list[str] = []
        official = {part: _part(folder, part, kind.__name__, len(classes), unknown) for part in NAMES}
        data = divided_set(self, official, classes)
        if not unknown:
            return data
        note = f"{folder}: {', '.join(unknown)}: not the content that was published as {kind.__name__}"
        return replace(data, notes=[*data.notes, note])

    def _is_whole(self, archive: Path) -> bool:
        try:
            _values(_content(archive))
        except DAMAGE:
            return False
        return True

    def _files_in(self, kind: Any) -> Path | None:
        """The folder with all four files: torchvision's below the root, or the root itself."""
        return _folder_of(self._folder(), kind)


def parts_in(root: Path, kind: Any, classes: int) -> dict[str, Arrays]:
    """The parts of torchvision's class `kind` below a folder, whoever has published their content.

    Raises:
        InputError: files are missing, damaged, or another set's.
    """
    folder = _folder_of(root, kind)
    if folder is None:
        names = ", ".join(name for pair in NAMES.values() for name in pair)
        raise InputError(f"data.root={root}: has not all files of {kind.__name__}, packed or not: {names}")
    return {part: _part(folder, part, kind.__name__, classes, []) for part in NAMES}


def _folder_of(root: Path, kind: Any) -> Path | None:
    names = [name for pair in NAMES.values() for name in pair]
    places = (root / kind.__name__ / "raw", root / "raw", root)
    return next((each for each in places if all(_candidates(each, name) for name in names)), None)


def _candidates(folder: Path, name: str) -> list[Path]:
    return [path for path in (folder / name, folder / f"{name}.gz") if path.is_file()]


def _part(folder: Path, part: str, kind: str, classes: int, unknown: list[str]) -> Arrays:
    """Images and labels of a part; files whose content is not a published one are added to `unknown`.

    Raises:
        InputError: they are damaged, do not fit together, or are another set's.
    """
    from cnntrain.data.sets.arrays import Arrays

    (images_from, images), (labels_from, labels) = (_whole(folder, name, kind, unknown) for name in NAMES[part])
    if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels) or not len(labels):
        raise InputError(f"{labels_from}: {labels.shape} labels do not fit the {images.shape} of {images_from.name}")
    if labels.max() >= classes:
        raise InputError(f"{labels_from}: has a label {labels.max()}, but there are {classes} classes")
    return Arrays(images[:, None], labels.astype("int64"), [f"{part}/{index}" for index in range(len(labels))])


def _whole(folder: Path, name: str, kind: str, unknown: list[str]) -> tuple[Path, np.ndarray]:
    """The first of a file's packings that is not damaged, and what is in it."""
    problems = []
    for path in _candidates(folder, name):
        try:
            content = _content(path)
            values = _values(content)
        except DAMAGE as error:
            problems.append(f"{path}: is damaged or incomplete ({error}): delete it and run again")
            continue
        of = PUBLISHED.get(hashlib.md5(content, usedforsecurity=False).hexdigest())
        if of is None:
            unknown.append(path.name)
        elif of != kind:
            raise InputError(f"{path}: is a file of {of}, not of {kind}: choose another data set, or another data.root")
        return path, values
    raise InputError("\n".join(problems))


def _content(path: Path) -> bytes:
    packed = path.read_bytes()
    return gzip.decompress(packed) if path.suffix == ".gz" else packed


def _values(content: bytes) -> np.ndarray:
    """The array of bytes in an idx file.

    Raises:
        ValueError: it is none.
    """
    import numpy as np

    if len(content) < 4 or not content.startswith(BYTES):
        raise ValueError("it does not begin as an idx file of bytes")
    start = 4 + 4 * content[3]
    if len(content) < start:
        raise ValueError("it ends within its header")
    shape = struct.unpack_from(f">{content[3]}I", content, 4)
    if len(content) - start != prod(shape):
        raise ValueError(f"{len(content) - start:,} bytes follow the header instead of {prod(shape):,}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
