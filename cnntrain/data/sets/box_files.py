"""Data sets of image files whose objects are described elsewhere."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cnntrain.core import plain_json
from cnntrain.core.errors import InputError
from cnntrain.data.base import Data
from cnntrain.data.sets.boxes import MOST_WITH_MASKS, Boxes, Objects
from cnntrain.data.sets.dataset import DataSet, Part
from cnntrain.data.sets.divide import pieces_of, sealed
from cnntrain.data.sets.files import FileImages
from cnntrain.data.sets.stratify import PARTS


@dataclass(frozen=True)
class Described:
    """An image of which the objects are known.

    Attributes:
        image: its path below the root, with forward slashes.
        size: height and width.
        outlines: of each object its pixels, as `instances` takes them; None where they are not asked for.
    """

    image: str
    size: tuple[int, int]
    objects: Objects
    outlines: Sequence[Any] | None = field(default=None, repr=False)


class Instances:
    """Decoded when asked for: uint8 [height, width] an image, see `Boxes`.

    Args:
        decode: an outline and the image's size, to its pixels, bool [height, width].
    """

    def __init__(self, found: Sequence[Described], decode: Callable[[Any, tuple[int, int]], np.ndarray]):
        self.found = found
        self.decode = decode

    def __len__(self) -> int:
        return len(self.found)

    def __getitem__(self, index: int) -> np.ndarray:
        each = self.found[index]
        values = np.zeros(each.size, np.uint8)
        pixels = [self.decode(outline, each.size) for outline in each.outlines or ()]
        for number in sorted(range(len(pixels)), key=lambda place: -int(pixels[place].sum())):  # small ones on top
            values[pixels[number]] = number + 1
        return values


def box_set(
    source: Data,
    root: Path,
    found: Mapping[str, Sequence[Described]],
    names: Sequence[str],
    notes: Sequence[str] = (),
    decode: Callable[[Any, tuple[int, int]], np.ndarray] | None = None,
) -> DataSet:
    """The data set of described images: of the parts (train, and possibly val and test), or all under the key ``all``.
    The labels of an image are the classes of its objects.

    Args:
        decode: see `Instances`; None: no pixels of objects are asked for.

    Raises:
        InputError: an image file is not there, or the parts do not fit `source.split`.
    """
    labels = {part: _labels(each, len(names)) for part, each in found.items()}
    pieces = pieces_of(source, root, found, labels, names)
    most = max(1, *(len(one.objects) for each, _ in pieces.values() for one in each))
    if decode is not None and most > MOST_WITH_MASKS:
        raise InputError(f"{root}: an image has {most} objects, and masks are of {MOST_WITH_MASKS} at most")
    built = {name: _part(source, root, *pieces[name], most, decode) for name in PARTS if name in pieces}
    fingerprint, modified = _digests(
        source, root, {name: pieces[name][0] for name in built}, [*names, decode is not None]
    )
    return DataSet(
        classes=list(names),
        channels=source.channels,
        native_size=None,
        train=built["train"],
        val=built["val"],
        test=built.get("test"),
        fingerprint=fingerprint,
        modified=modified,
        notes=[*notes, *sealed(source.folds, "test" in found)],
    )


def _labels(found: Sequence[Described], classes: int) -> np.ndarray:
    """bool [images, classes]."""
    there = np.zeros((len(found), classes), bool)
    for row, each in zip(there, found, strict=True):
        row[each.objects.labels] = True
    return there


def _part(
    source: Data,
    root: Path,
    found: Sequence[Described],
    labels: np.ndarray,
    most: int,
    decode: Callable[[Any, tuple[int, int]], np.ndarray] | None,
) -> Part:
    ids = [each.image for each in found]
    sizes = np.array([each.size for each in found]).reshape(-1, 2)
    instances = None if decode is None else Instances(found, decode)
    targets = Boxes([each.objects for each in found], most, sizes, instances)
    return Part(FileImages(root, ids, source.reading), labels, ids, targets=targets)


def _digests(
    source: Data, root: Path, parts: Mapping[str, Sequence[Described]], about: Sequence[Any]
) -> tuple[str, str]:
    """Hex sha256 over plain values, objects and each image's path and size in bytes; and over when files changed."""
    whole = hashlib.sha256(plain_json.text([list(about), source.channels, source.depth]).encode())
    times = hashlib.sha256()
    for part, found in parts.items():
        for each in found:
            try:
                stat = os.stat(root / each.image)
            except OSError as error:
                raise InputError(f"{root / each.image}: is described, and not there: {error.strerror}") from error
            whole.update(plain_json.text([part, each.image, stat.st_size, *each.size]).encode())
            for values in (each.objects.boxes, each.objects.labels, each.objects.ignored):
                whole.update(np.ascontiguousarray(values).tobytes())
            times.update(str(stat.st_mtime_ns).encode())
    return whole.hexdigest(), times.hexdigest()
