"""Data sets of image files and of files of their masks."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torchvision import tv_tensors

from cnntrain.core import plain_json
from cnntrain.core.errors import InputError
from cnntrain.core.targets import IGNORE
from cnntrain.core.words import printable
from cnntrain.data.base import Data
from cnntrain.data.sets.dataset import DataSet, Part
from cnntrain.data.sets.divide import pieces_of, sealed
from cnntrain.data.sets.files import FileImages
from cnntrain.data.sets.masks import Masks
from cnntrain.data.sets.stratify import PARTS

INDEXED = ("P", "L")  # PIL's modes of which a pixel is a number of 8 bits


@dataclass(frozen=True)
class Pair:
    """An image and its mask: paths below the root, with forward slashes."""

    image: str
    mask: str


class FileMasks(Masks):
    """Decoded from files when asked for.

    Args:
        ignore: the number of pixels that are ignored in the files; None: there are none.
    """

    def __init__(self, root: Path, paths: Sequence[str], ignore: int | None):
        self.root = root
        self.paths = paths
        self.ignore = ignore

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Any:
        return tv_tensors.Mask(torch.from_numpy(read(self.root / self.paths[index], self.ignore)))


def read(path: Path, ignore: int | None) -> np.ndarray:
    """uint8 [height, width], in which `IGNORE` is none.

    Raises:
        InputError: it cannot be read, or its pixels are not numbers.
    """
    try:
        with Image.open(path) as image:
            if image.mode not in INDEXED:
                raise InputError(
                    f"{path}: is of mode {image.mode}, and a mask must be a PNG of 8 bits, whose pixels are numbers of "
                    "classes"
                )
            values = np.array(image, np.uint8)
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as a mask: {error}") from error
    if ignore is not None and ignore != IGNORE:
        values[values == ignore] = IGNORE
    return values


def mask_set(
    source: Data, root: Path, found: Mapping[str, Sequence[Pair]], names: Sequence[str] | None, ignore: int | None
) -> DataSet:
    """The data set of pairs: of the parts (train, and possibly val and test), or all under the key ``all``.

    Every mask is looked at once, for the classes that its image has: these are its labels.

    Args:
        names: of the classes; None: they are called by their numbers.

    Raises:
        InputError: a mask cannot be read or has a number that is no class, or the parts do not fit `source.split`.
    """
    there = {part: _classes_of(root, pairs, ignore) for part, pairs in found.items()}
    most = max((int(each.nonzero()[1].max(initial=0)) for each in there.values()), default=0)
    names = names or [str(number) for number in range(most + 1)]
    for part, pairs in found.items():
        for pair, numbers in zip(pairs, there[part], strict=True):
            if numbers[len(names) :].any():
                number = int(numbers.nonzero()[0][-1])
                raise InputError(
                    f"{root / pair.mask}: has the number {number}, and there are {len(names)} classes, from 0 on: "
                    f"name it in classes.txt, or let data.ignore={number} leave its pixels out"
                )
    labels = {part: each[:, : len(names)] for part, each in there.items()}
    parts = pieces_of(source, root, found, labels, names)
    built = {part: _part(source, root, *parts[part], ignore) for part in PARTS if part in parts}
    fingerprint, modified = _digests(source, root, {part: parts[part][0] for part in built}, names, ignore)
    return DataSet(
        classes=list(names),
        channels=source.channels,
        native_size=None,
        train=built["train"],
        val=built["val"],
        test=built.get("test"),
        fingerprint=fingerprint,
        modified=modified,
        notes=sealed(source.folds, "test" in found),
    )


def _classes_of(root: Path, pairs: Sequence[Pair], ignore: int | None) -> np.ndarray:
    """bool [pairs, 255]: which numbers each mask has."""
    there = np.zeros((len(pairs), IGNORE), bool)
    for row, pair in zip(there, pairs, strict=True):
        numbers = np.unique(read(root / pair.mask, ignore))
        row[numbers[numbers != IGNORE]] = True
    return there


def _part(source: Data, root: Path, pairs: Sequence[Pair], labels: np.ndarray, ignore: int | None) -> Part:
    ids = [each.image for each in pairs]
    return Part(
        FileImages(root, ids, source.reading),
        labels,
        ids,
        targets=FileMasks(root, [each.mask for each in pairs], ignore),
    )


def _digests(
    source: Data, root: Path, parts: Mapping[str, Sequence[Pair]], names: Sequence[str], ignore: int | None
) -> tuple[str, str]:
    """Hex sha256 over classes and each part's paths and sizes in bytes; and over the times at which files changed."""
    whole = hashlib.sha256(plain_json.text([list(names), source.channels, source.depth, ignore]).encode())
    times = hashlib.sha256()
    for part, pairs in parts.items():
        for pair in pairs:
            found = [os.stat(root / each) for each in (pair.image, pair.mask)]
            whole.update(plain_json.text([part, pair.image, pair.mask, *(each.st_size for each in found)]).encode())
            times.update(plain_json.text([each.st_mtime_ns for each in found]).encode())
    return whole.hexdigest(), times.hexdigest()


def pairs_in(root: Path, folder: Path) -> list[Pair]:
    """The images of ``folder/images`` with the masks of their names in ``folder/masks``.

    Raises:
        InputError: a folder or a mask is not there.
    """
    from cnntrain.data.sets.decode import extensions

    images, masks = folder / "images", folder / "masks"
    for each in (images, masks):
        if not each.is_dir():
            raise InputError(f"{each}: there is no such folder; data=masks reads images/ and masks/ below data.root")
    paths = sorted(each for each in images.iterdir() if each.suffix.lower() in extensions() and each.name[0] != ".")
    missing = [each.name for each in paths if not (masks / f"{each.stem}.png").is_file()]
    if missing or not paths:
        what = f"{printable(missing[0])} has no mask {printable(Path(missing[0]).stem)}.png" if missing else "no images"
        raise InputError(f"{masks if missing else images}: {what}")
    return [
        Pair(each.relative_to(root).as_posix(), (masks / f"{each.stem}.png").relative_to(root).as_posix())
        for each in paths
    ]
