"""Objects of an image that an XML file describes as PASCAL VOC does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from cnntrain.core.errors import InputError
from cnntrain.core.words import printable
from cnntrain.data.sets.box_files import Described
from cnntrain.data.sets.boxes import Objects

SIDES = ("xmin", "ymin", "xmax", "ymax")  # of which the first pixel is 1, and the last is within


def described(path: Path, image: Path, names: Sequence[str]) -> Described:
    """Raises InputError where the file cannot be read, or one of its objects is not as VOC has it."""
    try:
        root = ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError) as error:
        raise InputError(f"{path}: cannot be read as XML: {error}") from error
    high, wide = (round(_number(path, root, f"size/{side}")) for side in ("height", "width"))
    boxes, labels, ignored = [], [], []
    for number, each in enumerate(root.findall("object")):
        name = each.findtext("name", "").strip()
        if name not in names:
            raise InputError(f"{path}: object {number} is of {printable(name) or 'no class'}, which is none of VOC's")
        left, top, right, bottom = (_number(path, each, f"bndbox/{side}") for side in SIDES)
        if not (0 < left <= right <= wide + 1 and 0 < top <= bottom <= high + 1):
            raise InputError(f"{path}: object {number} has a box outside of its image of {wide}x{high} pixels")
        boxes.append([left - 1, top - 1, min(right, wide), min(bottom, high)])
        labels.append(names.index(name))
        ignored.append(each.findtext("difficult", "0").strip() == "1")
    found = Objects(np.array(boxes, np.float32).reshape(-1, 4), np.array(labels, np.int64), np.array(ignored, bool))
    return Described(image.as_posix(), (high, wide), found)


def _number(path: Path, entry: ElementTree.Element, place: str) -> float:
    text = entry.findtext(place, "")
    try:
        return float(text)
    except ValueError as error:
        raise InputError(f"{path}: {entry.tag} must have a number at {place}, not {printable(text)!r}") from error
