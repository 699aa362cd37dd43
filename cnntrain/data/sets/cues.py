"""Images of which the shape is of one class and the texture of another (Geirhos et al. 2019, arXiv:1811.12231)."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cnntrain.core.errors import InputError
from cnntrain.core.words import listed, normalised, printable
from cnntrain.data.base import Data
from cnntrain.data.sets.dataset import Labelled
from cnntrain.data.sets.files import labelled_files
from cnntrain.data.sets.listing import Sample, absent, sample
from cnntrain.data.sets.named import below

EXPECTED = "<shape>/<shape><number>-<texture><number>.png, such as cat/cat7-elephant2.png"


@dataclass(frozen=True)
class Cues:
    """Images whose cues conflict.

    Attributes:
        root: the folder that they are in.
        images: their labels are those of the shapes, positions in a network's classes.
        texture: of each image by its id the position of the texture's class.
        offered: positions of the classes that occur in the folder and that the network knows, ascending, int64.
        unknown: of each class that the network does not know in how many images it is the shape or the texture.
        left_out: how many images, by the reason: ``unknown``, or ``same`` where shape and texture are of one class.
    """

    root: str
    images: Labelled
    texture: Mapping[str, int]
    offered: np.ndarray
    unknown: Mapping[str, int]
    left_out: Mapping[str, int]

    @property
    def textures(self) -> np.ndarray:
        """int64 [images], as the labels."""
        return np.array([self.texture[each] for each in self.images.part.ids], dtype=np.int64)


def read(source: Data, root: str, classes: Sequence[str]) -> Cues:
    """The images in and below a folder with one folder a shape, matched with a network's classes by name.

    Args:
        source: says how images are read.

    Raises:
        InputError: the folder cannot be read, a file is not named as expected, or no image is left.
    """
    position = {normalised(name): number for number, name in enumerate(classes)}
    pairs = _pairs(root, position)
    known = {id_: pair for id_, pair in pairs.items() if all(each in position for each in pair)}
    conflicts = {id_: pair for id_, pair in known.items() if pair[0] != pair[1]}
    occurring = Counter(name for pair in pairs.values() for name in sorted(set(pair)))
    unknown = {name: occurring[name] for name in sorted(occurring) if name not in position}
    if not conflicts:
        why = f"the network does not know {listed(list(unknown))}; it knows {listed(classes)}" if unknown else ""
        same = f"of {len(known):,} of its {len(pairs):,} images the shape and the texture are of one class"
        raise InputError(f"cues={root}: no image has a shape and another texture that can be judged: {why or same}")
    samples = [_sample(source, Path(root, id_), id_, shape) for id_, (shape, _) in conflicts.items()]
    images = labelled_files(source, root, {"all": samples}, "all", [])
    labels = np.array([position[shape] for shape, _ in conflicts.values()], dtype=np.int64)
    return Cues(
        root=root,
        images=replace(images, classes=list(classes), part=replace(images.part, labels=labels), name="cues", notes=[]),
        texture={id_: position[texture] for id_, (_, texture) in conflicts.items()},
        offered=np.array(sorted(position[name] for name in occurring if name in position), dtype=np.int64),
        unknown=unknown,
        left_out={"unknown": len(pairs) - len(known), "same": len(known) - len(conflicts)},
    )


def _pairs(root: str, classes: Collection[str]) -> dict[str, tuple[str, str]]:
    """Of each image below the root, by its path below it, the names of its shape and its texture."""
    if not os.path.isdir(root):
        raise InputError(f"cues={root}: is no folder; give one that holds {EXPECTED}")
    ids = [os.path.relpath(each, root).replace(os.sep, "/") for each in below(root, "cues")]
    if not ids:
        raise InputError(f"cues={root}: holds no images; expected are {EXPECTED}")
    names = {*classes, *(normalised(each.split("/")[0]) for each in ids if "/" in each)}
    found = {each: _pair(root, each, names) for each in ids}
    odd = [each for each, pair in found.items() if pair is None]
    if odd:
        raise InputError(
            f"cues={root}: {len(odd):,} of {len(ids):,} images are not named as expected, {EXPECTED}: {listed(odd)}"
        )
    return {each: pair for each, pair in found.items() if pair is not None}


def _pair(root: str, id_: str, names: Collection[str]) -> tuple[str, str] | None:
    """Shape and texture of a path such as ``cat/cat7-elephant2.png``; None where it is not of that form. A name may
    hold hyphens and end in digits.

    Args:
        names: among which the texture is looked for where digits are at the end of its name.

    Raises:
        InputError: the texture may be one of several.
    """
    folder, _, file = id_.partition("/")
    shape, stem = normalised(folder), normalised(os.path.splitext(file)[0])
    number, hyphen, rest = stem.removeprefix(shape).partition("-")
    if "/" in file or not stem.startswith(shape) or not _is_number(number) or not hyphen:
        return None
    textures = [rest[:end] for end in range(1, len(rest)) if _is_number(rest[end:])]
    known = [each for each in textures if each in names]
    if len(known) > 1:
        raise InputError(f"cues={root}: {printable(id_)} has a texture of one of {listed(known)}: rename it")
    return (shape, (known or textures)[0]) if textures else None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _sample(source: Data, path: Path, id_: str, shape: str) -> Sample:
    try:
        return sample(id_, shape, path.stat())
    except OSError as error:
        if source.on_bad == "skip":
            return absent(id_, shape)
        raise InputError(f"cues: {printable(str(path))}: {error.strerror}") from error
