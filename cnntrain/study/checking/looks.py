"""One pass over the images of a set: what each looks like, in a few numbers, and which cannot be read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from cnntrain.core.errors import InputError
from cnntrain.data.batches.readable import AT_ONCE, each_of, kind_of
from cnntrain.data.sets import decode
from cnntrain.data.sets.bands import channels_last, shown
from cnntrain.data.sets.dataset import Images, Part
from cnntrain.data.sets.files import FileImages
from cnntrain.data.sets.pictures import as_array
from cnntrain.data.sets.subset import SomeImages
from cnntrain.runs.screen import Screen

SIDE = 16  # pixels of a small picture
BLOCK = 512  # pictures that are computed with at once
FLAT = 3  # grey levels: a small picture that varies less may be of one colour


class Look(NamedTuple):
    """Of one image.

    Attributes:
        size: height and width.
        small: the picture, or what is shown of it, squashed to uint8 [SIDE, SIDE, 3].
        is_blank: whether it is of one colour.
        written_as: mode and format of its file, such as ``RGB JPEG``; empty where it is no file.
    """

    size: tuple[int, int]
    small: np.ndarray
    is_blank: bool
    written_as: str


class Bad(NamedTuple):
    """Of an image that cannot be read."""

    kind: decode.Kind
    message: str


@dataclass(frozen=True)
class Looks:
    """Of all images of a set.

    Attributes:
        parts: the name of each one's.
        labels: positions in `classes`, int64 [n]; -1 for an image with several labels.
        is_sound: bool [n]; of the others everything below is zero.
        same: int64 [n], equal where size and pixels are, but for images of one colour.
        small: uint8 [n, SIDE, SIDE, 3].
        sizes: heights and widths, int32 [n, 2].
        is_blank: bool [n].
        written_as: see `Look`.
        bad: by position.
    """

    ids: Sequence[str]
    parts: np.ndarray
    labels: np.ndarray
    classes: Sequence[str]
    is_sound: np.ndarray
    same: np.ndarray
    small: np.ndarray
    sizes: np.ndarray
    is_blank: np.ndarray
    written_as: np.ndarray
    bad: Mapping[int, Bad]

    def __len__(self) -> int:
        return len(self.ids)


def in_blocks(compute: Callable[[np.ndarray], np.ndarray], small: np.ndarray) -> np.ndarray:
    """What is computed of each small picture, of some at once: all at once would not fit into a cache."""
    return np.concatenate([compute(small[begin : begin + BLOCK]) for begin in range(0, max(len(small), 1), BLOCK)])


def look(parts: Mapping[str, Part], classes: Sequence[str], workers: int) -> Looks:
    """Read every image of the parts once, by so many processes, with a bar on a terminal; those that may have the same
    pixels as others twice.

    Raises:
        InputError: an image has been changed meanwhile, and cannot be read the second time.
    """
    count = sum(map(len, parts.values()))
    found = _empty(parts, classes, count)
    screen = Screen(None)
    done = 0
    with screen.bar("images", count, 0):
        for part in parts.values():
            for each in each_of(part, _looked, workers):
                _note(found, done, each)
                done += 1
                if screen.is_due():
                    screen.advance(done, f"{len(found.bad):,} bad" if found.bad else "")
    _tell_apart(found, parts, workers)
    return found


def _tell_apart(found: Looks, parts: Mapping[str, Part], workers: int) -> None:
    """Fill in `Looks.same`. Equal pixels have equal small pictures, and few others have: so digests of all pixels, each
    of which costs a fifth of decoding, are taken of these alone."""
    rows = np.flatnonzero(found.is_sound & ~found.is_blank)
    keys = np.concatenate([found.small[rows].reshape(len(rows), -1), found.sizes[rows].view(np.uint8)], axis=1)
    keys = np.ascontiguousarray(keys).view(f"V{keys.shape[1]}").ravel()
    _, value, counts = np.unique(keys, return_inverse=True, return_counts=True)
    is_doubtful = np.zeros(len(found), bool)
    is_doubtful[rows[counts[value] > 1]] = True
    numbers: dict[bytes, int] = {}
    begin = 0
    for part in parts.values():
        own = np.flatnonzero(is_doubtful[begin : begin + len(part)])
        some = Part(SomeImages(part.images, own), part.labels[own], [part.ids[row] for row in own.tolist()])
        helpers = workers if len(own) > AT_ONCE else 0
        for row, digest in zip((begin + own).tolist(), each_of(some, _digest, helpers), strict=True):
            found.same[row] = numbers.setdefault(digest, row)
        begin += len(part)


def _empty(parts: Mapping[str, Part], classes: Sequence[str], count: int) -> Looks:
    labels = [each.labels if each.labels.ndim == 1 else np.full(len(each), -1) for each in parts.values()]
    return Looks(
        ids=[id_ for part in parts.values() for id_ in part.ids],
        parts=np.repeat(list(parts), list(map(len, parts.values()))),
        labels=np.concatenate(labels).astype(np.int64),
        classes=classes,
        is_sound=np.zeros(count, bool),
        same=np.arange(count),
        small=np.zeros((count, SIDE, SIDE, 3), np.uint8),
        sizes=np.zeros((count, 2), np.int32),
        is_blank=np.zeros(count, bool),
        written_as=np.full(count, "", object),
        bad={},
    )


def _note(found: Looks, row: int, each: Look | Bad) -> None:
    if isinstance(each, Bad):
        assert isinstance(found.bad, dict)
        found.bad[row] = each
        return
    found.is_sound[row] = True
    found.small[row] = each.small
    found.sizes[row] = each.size
    found.is_blank[row] = each.is_blank
    found.written_as[row] = each.written_as


def _looked(images: Images, position: int) -> Look | Bad:
    try:
        found, written_as = _read(images, position)
    except InputError as error:
        return Bad(kind_of(error), str(error))
    picture = found if isinstance(found, Image.Image) else _shown(found)
    small = np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BOX, reducing_gap=2.0).convert("RGB"))
    is_blank = bool((np.ptp(small, axis=(0, 1)) <= FLAT).all()) and _is_of_one_colour(as_array(found))
    return Look((picture.height, picture.width), small, is_blank, written_as)


def _shown(values: np.ndarray) -> Image.Image:
    """What people are shown of [height, width, channels]."""
    seen = shown(torch.from_numpy(values).permute(2, 0, 1)).permute(1, 2, 0).numpy()
    return Image.fromarray(seen[..., 0] if seen.shape[2] == 1 else seen)


def _is_of_one_colour(values: np.ndarray) -> bool:
    return bool((values == values[:1, :1]).all())


def _digest(images: Images, position: int) -> bytes:
    """Of size and pixels."""
    found, _ = _read(images, position)
    values = as_array(found)
    return hashlib.sha256(f"{values.shape}".encode() + values.tobytes()).digest()


def _read(images: Images, position: int) -> tuple[Image.Image | np.ndarray, str]:
    """An image as `picture` gives it, and how it is written, where it is a file."""
    if isinstance(images, SomeImages):
        return _read(images.images, int(images.index[position]))
    if not isinstance(images, FileImages):
        return channels_last(images[position]), ""
    found = images.described(position)
    return found.picture, f"{found.mode} {found.format}"
