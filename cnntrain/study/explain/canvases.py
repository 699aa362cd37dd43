"""Real digits pasted on canvases: images of which it is known where the answer is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

CLUTTER = 2  # pieces of digits on a canvas, which no single class explains
TRIES = 1000  # sets of places that are drawn before the canvas counts as too small


@dataclass(frozen=True)
class Canvases:
    """Attributes:
    images: uint8 [count, size, size].
    labels: the digits on each, int64 [count, digits].
    boxes: where they are: top, left, bottom, right (the last two outside), int64 [count, digits, 4].
    """

    images: np.ndarray
    labels: np.ndarray
    boxes: np.ndarray


def pasted(
    digits: np.ndarray, labels: np.ndarray, rng: np.random.Generator, count: int, size: int, side: int, each: int = 1
) -> Canvases:
    """Canvases with `each` digits of different classes, none over another, on noise and scrambled pieces of digits.

    Args:
        digits: uint8 [digits, height, width], light on dark.
        size: pixels a side of a canvas, and `side` of a digit.
    """
    images = np.empty((count, size, size), np.uint8)
    classes, boxes = np.empty((count, each), np.int64), np.empty((count, each, 4), np.int64)
    for canvas in range(count):
        drawn = rng.normal(30, 15, (size, size))
        for _ in range(CLUTTER):
            _paste(
                drawn, _scrambled(_large(digits[rng.integers(len(digits))], side), rng), rng.integers(0, size - side, 2)
            )
        places = _places(rng, each, size, side)
        chosen = rng.choice(np.unique(labels), each, replace=False)
        for number, (digit, place) in enumerate(zip(chosen, places, strict=True)):
            _paste(drawn, _large(digits[rng.choice(np.flatnonzero(labels == digit))], side), place)
            classes[canvas, number] = digit
            boxes[canvas, number] = [*place, *(place + side)]
        images[canvas] = drawn.clip(0, 255)
    return Canvases(images, classes, boxes)


def _large(digit: np.ndarray, side: int) -> np.ndarray:
    return np.asarray(Image.fromarray(digit).resize((side, side), Image.Resampling.BILINEAR), dtype=np.float64)


def _paste(canvas: np.ndarray, piece: np.ndarray, place: Sequence[int] | np.ndarray) -> None:
    """The lighter of both, so that a digit has no frame by which it could be told."""
    rows, columns = (slice(int(start), int(start) + len(piece)) for start in place)
    canvas[rows, columns] = np.maximum(canvas[rows, columns], piece)


def _scrambled(digit: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Sixteen pieces in another order: strokes as a digit has them, and no digit."""
    rows = [np.array_split(row, 4, axis=1) for row in np.array_split(digit, 4, axis=0)]
    small = min(len(row[0]) for row in rows), min(piece.shape[1] for piece in rows[0])
    pieces = [piece[: small[0], : small[1]] for row in rows for piece in row]
    order = rng.permutation(len(pieces))
    return np.block([[pieces[order[4 * row + column]] for column in range(4)] for row in range(4)])


def _places(rng: np.random.Generator, count: int, size: int, side: int) -> np.ndarray:
    """Top left corners that are at least a digit apart.

    Raises:
        ValueError: so many digits have no room.
    """
    for _ in range(TRIES):
        places = rng.integers(0, size - side + 1, (count, 2))
        apart = np.abs(places[:, None] - places[None]).max(2) >= side
        if apart[np.triu_indices(count, 1)].all():
            return places
    raise ValueError(f"{count} digits of {side} pixels have no room on {size}")
