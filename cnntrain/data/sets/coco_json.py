"""Objects that a JSON file describes as COCO does (Lin et al. 2014, arXiv:1405.0312)."""

from __future__ import annotations

import json
import warnings
from collections import defaultdict
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from cnntrain.core.errors import InputError
from cnntrain.core.paths import is_below
from cnntrain.core.words import printable
from cnntrain.data.sets.box_files import Described
from cnntrain.data.sets.boxes import Objects

LISTS = ("images", "categories", "annotations")


def described(path: Path, images: str, masks: bool) -> tuple[list[str], list[Described], int]:
    """Class names, by their numbers in the file; what is in its images, in its order; and how many objects without an
    area are left out.

    Args:
        images: folder below the root, with forward slashes; empty: the root.
        masks: whether objects' outlines are asked for.

    Raises:
        InputError: the file cannot be read, or an entry of it is not as COCO has it; the message names it.
    """
    found = _read(path)
    classes = {_number(path, "categories", n, each, "id"): each for n, each in enumerate(found["categories"])}
    names = [_text(path, "categories", classes[key], "name") for key in sorted(classes)]
    if len({*names}) < len(names) or len(classes) < len(found["categories"]):
        raise InputError(f"{path}: categories must have ids and names of their own")
    position = {key: place for place, key in enumerate(sorted(classes))}
    pictures = {_number(path, "images", n, each, "id"): each for n, each in enumerate(found["images"])}
    if len(pictures) < len(found["images"]):
        raise InputError(f"{path}: images must have ids of their own")
    by_image: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
    for number, each in enumerate(found["annotations"]):
        where, what = (_number(path, "annotations", number, each, key) for key in ("image_id", "category_id"))
        if where not in pictures or what not in position:
            wrong = f"image_id={where}" if where not in pictures else f"category_id={what}"
            raise InputError(f"{path}: annotations[{number}]: there is no {wrong}")
        by_image[where].append({**each, "place": number})
    rows, empty = [], 0
    for key, each in pictures.items():
        size = tuple(_number(path, "images", key, each, side) for side in ("height", "width"))
        row, left_out = _image(path, images, each, (size[0], size[1]), by_image[key], position, masks)
        rows.append(row)
        empty += left_out
    return names, rows, empty


def _read(path: Path) -> dict[str, list[Any]]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as JSON: {error}") from error
    for key in LISTS:
        if not isinstance(found, dict) or not isinstance(found.get(key), list):
            raise InputError(f"{path}: has no list {key!r}, as COCO's files have: {', '.join(LISTS)}")
        for number, each in enumerate(found[key]):
            if not isinstance(each, dict):
                raise InputError(f"{path}: {key}[{number}] is no object")
    return found


def _image(
    path: Path,
    images: str,
    about: Mapping[str, Any],
    size: tuple[int, int],
    notes: list[Mapping[str, Any]],
    position: Mapping[int, int],
    masks: bool,
) -> tuple[Described, int]:
    boxes, labels, ignored, outlines = [], [], [], []
    for each in notes:
        box = _box(path, each, size)
        if box is None:
            continue
        boxes.append(box)
        labels.append(position[each["category_id"]])
        ignored.append(bool(each.get("iscrowd", 0)))
        if masks and not each.get("segmentation"):
            raise InputError(f"{path}: annotations[{each['place']}] has no segmentation: data.masks=false does without")
        outlines.append(each.get("segmentation"))
    name = _text(path, "images", about, "file_name")
    found = Objects(np.array(boxes, np.float32).reshape(-1, 4), np.array(labels, np.int64), np.array(ignored, bool))
    if not is_below(name):
        raise InputError(f"{path}: file_name {printable(name)} leads out of the images' folder")
    row = Described(f"{images}/{name}".lstrip("/"), size, found, outlines if masks else None)
    return row, len(notes) - len(boxes)


def _box(path: Path, note: Mapping[str, Any], size: tuple[int, int]) -> list[float] | None:
    """Left, top, right and bottom, within the image; None of a box without an area."""
    values, where = note.get("bbox"), f"{path}: annotations[{note['place']}]"
    if not isinstance(values, list) or len(values) != 4 or not all(_is_number(each) for each in values):
        raise InputError(f"{where}: bbox must be [left, top, width, height], not {printable(str(values))}")
    left, top, width, height = map(float, values)
    if width <= 0 or height <= 0:
        return None
    (high, wide), box = size, [left, top, left + width, top + height]
    if box[2] <= 0 or box[3] <= 0 or left >= wide or top >= high:
        raise InputError(f"{where}: bbox {values} is outside of its image of {wide}x{high} pixels")
    return [max(0.0, box[0]), max(0.0, box[1]), min(float(wide), box[2]), min(float(high), box[3])]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _number(path: Path, key: str, place: int, entry: Mapping[str, Any], name: str) -> int:
    value = entry.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise InputError(f"{path}: {key}[{place}] must have a whole number {name!r}, not {printable(str(value))}")
    return value


def _text(path: Path, key: str, entry: Mapping[str, Any], name: str) -> str:
    value = entry.get(name)
    if not isinstance(value, str) or not value:
        raise InputError(f"{path}: the entry {entry.get('id')} of {key} must have a {name!r}")
    return value


def pixels(outline: Any, size: tuple[int, int]) -> np.ndarray:
    """bool [height, width] of polygons, or of runs of pixels, by pycocotools."""
    from pycocotools import mask

    runs = outline if isinstance(outline, dict) else mask.merge(mask.frPyObjects(outline, *size))
    if isinstance(runs.get("counts"), list):
        runs = mask.frPyObjects(runs, *size)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it is not yet made for NumPy 2's copies
        found: np.ndarray = mask.decode(runs).astype(bool)
    return found
