"""The receptive fields in images where a unit is excited most."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import floor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cnntrain.core.errors import InputError
from cnntrain.study.anatomy.receptive_field import Axis, Field
from cnntrain.study.explain import tiles
from cnntrain.study.explain.ascent import units_of
from cnntrain.study.explain.base import Picture
from cnntrain.study.explain.fields import field_of
from cnntrain.study.explain.subject import Shown, Subject

SIDE = 1.3  # inches of a tile


@dataclass(frozen=True)
class Box:
    """The part of an image that a position depends on, in pixels; `top` and `left` are its first ones, `bottom` and
    `right` the first behind it.

    Attributes:
        padded: whether the position depends on padding, too.
    """

    top: int
    bottom: int
    left: int
    right: int
    padded: bool


@dataclass(frozen=True)
class Patch:
    """Where a unit is excited most in an image: ordered by how much, of equal ones the earlier image first."""

    value: float
    image: int  # its position among those that are shown
    place: tuple[int, int]  # row and column of the map
    seen: Tensor  # the whole image, [channels, size, size]

    def __lt__(self, other: Patch) -> bool:
        return (self.value, -self.image) < (other.value, -other.image)


def box(field: Field, place: tuple[int, int], size: int) -> Box:
    """What a position of a map sees of an image of `size` pixels a side."""
    (top, bottom, above), (left, right, beside) = (
        _reach(axis, each, size) for axis, each in zip((field.rows, field.columns), place, strict=True)
    )
    return Box(top, bottom, left, right, above or beside)


def _reach(axis: Axis, place: int, size: int) -> tuple[int, int, bool]:
    start = 0.0 if axis.whole else place * axis.jump
    low, high = floor(axis.low + start), floor(axis.high + start)
    return max(0, low), min(size, high + 1), low < 0 or high >= size


@torch.no_grad()
def strongest(subject: Subject, shown: Shown, units: Sequence[int], most: int) -> list[list[Patch]]:
    """Of each unit where it is excited most, the strongest first, one place an image."""
    kept: list[list[Patch]] = [[] for _ in units]
    chosen = torch.tensor(units, device=subject.device)
    for positions, inputs in shown.batches():
        maps = subject.activations(inputs)[:, chosen]
        values, places = maps.flatten(2).max(2)
        width = maps.shape[3]
        for row, position in enumerate(positions):
            for heap, value, place in zip(kept, values[row].tolist(), places[row].tolist(), strict=True):
                if len(heap) == most and value <= heap[0].value:
                    continue
                found = Patch(value, position, divmod(place, width), inputs[row])
                (heapq.heappushpop if len(heap) == most else heapq.heappush)(heap, found)
    return [sorted(heap, reverse=True) for heap in kept]


@torch.no_grad()
def alone(subject: Subject, unit: int, found: Sequence[Patch], boxes: Sequence[Box]) -> tuple[list[float], list[float]]:
    """What the unit gives at each patch's place in the whole image, and where all around its field is painted in the
    mean colour. Both are computed in batches of the same shape, so that equal numbers are added in one order."""
    whole = torch.stack([each.seen for each in found])
    cut = torch.zeros_like(whole)
    for row, each in enumerate(boxes):
        cut[row, :, each.top : each.bottom, each.left : each.right] = whole[row, :, each.top : each.bottom,
                                                                           each.left : each.right]  # fmt: skip
    rows, columns = zip(*(each.place for each in found), strict=True)
    numbers = range(len(found))
    both = (subject.activations(images)[numbers, unit, rows, columns].tolist() for images in (whole, cut))
    return next(both), next(both)


def pictures(subject: Subject, shown: Shown, asked: Sequence[int] | None, most: int) -> Iterator[Picture]:
    """A picture a unit: the fields above, and below the images with the fields framed.

    Raises:
        ConfigError: the layer has no such unit.
        InputError: it gives no maps.
    """
    layer = subject.at
    shape = subject.shapes([layer]).get(layer)
    if shape is None or len(shape) != 4:
        raise InputError(f"layer={layer}: gives no maps [channels, height, width]: choose another")
    units = units_of(subject, layer, asked)
    field = field_of(subject, layer)
    for unit, found in zip(units, strongest(subject, shown, units, most), strict=True):
        if found:
            yield _picture(subject, shown, f"{layer}, unit {unit}", unit, field, found)


def _picture(
    subject: Subject, shown: Shown, title: str, unit: int, field: Field | None, found: Sequence[Patch]
) -> Picture:
    size = subject.seen.image_size
    everything = Box(0, size, 0, size, True)
    boxes = [everything if field is None else box(field, each.place, size) for each in found]
    values, by_itself = alone(subject, unit, found, boxes)
    seen = [tiles.of_image(each) for each in subject.seen.undo(torch.stack([p.seen for p in found])).cpu().numpy()]
    cuts = [image[b.top : b.bottom, b.left : b.right] for image, b in zip(seen, boxes, strict=True)]
    names = [f"{value:.3g}" for value in values] + [Path(shown.names[each.image]).stem for each in found]
    about = "field unknown: whole images" if field is None else f"field {_size(field, size)}"
    frames = {len(found) + n: (b.top, b.bottom, b.left, b.right) for n, b in enumerate(boxes)}
    figure = tiles.figure([*cuts, *seen], names, len(found), f"{title}: {about}", SIDE, frames)
    rows = [
        _row(shown, each, of, value, single)
        for each, of, value, single in zip(found, boxes, values, by_itself, strict=True)
    ]
    facts = {"unit": unit, "field": None if field is None else [field.rows.size, field.columns.size], "patches": rows}
    return Picture(f"unit-{unit:04d}", figure, {"images": np.stack(seen)}, facts)


def _size(field: Field, size: int) -> str:
    if field.rows.whole or field.columns.whole:
        return "the whole image"
    return f"{field.rows.size:.0f}x{field.columns.size:.0f} of {size}x{size}"


def _row(shown: Shown, each: Patch, of: Box, value: float, single: float) -> Mapping[str, Any]:
    return {
        "image": shown.names[each.image],
        "label": shown.labels[each.image],
        "place": list(each.place),
        "box": [of.top, of.bottom, of.left, of.right],
        "padded": of.padded,
        "activation": value,
        "activation_alone": single,
    }
