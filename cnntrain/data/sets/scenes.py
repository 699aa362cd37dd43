"""Scenes: pictures of digits pasted on a canvas, with what is where known exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

INK = 96  # of a digit, from 0 to 255: a pixel with more is the digit's, one with less lets the background through
NOISE = 48  # brightest pixels of the background
TRIES = 20  # to place a digit where it covers little of another
OVERLAP = 0.15  # of the smaller of two digits' boxes, at most
BACKGROUND = 0  # class of a mask; digits follow


@dataclass(frozen=True)
class Scene:
    """Attributes:
    image: uint8 [side, side].
    instances: uint8 [side, side]: 0 is background, 1 the first digit, and so on; a later digit covers earlier ones.
    labels: int64 [digits].
    """

    image: np.ndarray
    instances: np.ndarray
    labels: np.ndarray

    @property
    def mask(self) -> np.ndarray:
        """uint8 [side, side]: `BACKGROUND`, or 1 and the digit."""
        return np.concatenate([[BACKGROUND], self.labels + 1]).astype(np.uint8)[self.instances]

    @property
    def boxes(self) -> np.ndarray:
        """int64 [digits, 4]: left, top, right and bottom of what is seen of each, right and bottom beyond the last."""
        found = []
        for number in range(1, 1 + len(self.labels)):
            rows, columns = np.nonzero(self.instances == number)
            found.append([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
        return np.array(found, dtype=np.int64).reshape(-1, 4)


@dataclass(frozen=True)
class Canvas:
    """How scenes are made.

    Attributes:
        side: pixels.
        least, most: digits.
        smallest, largest: pixels of a digit's side.
    """

    side: int
    least: int
    most: int
    smallest: int
    largest: int


def scene(digits: np.ndarray, labels: np.ndarray, canvas: Canvas, *seeds: int) -> Scene:
    """A function of its arguments alone.

    Args:
        digits: uint8 [n, height, width], bright on black.
        labels: int64 [n].
        seeds: the seed, the number of the part, and that of the scene.
    """
    draws = np.random.default_rng(seeds)
    side = canvas.side
    image = draws.integers(0, NOISE + 1, (side, side), dtype=np.uint8)
    instances, chosen = np.zeros((side, side), np.uint8), list[int]()
    boxes = list[tuple[int, int, int]]()
    for _ in range(draws.integers(canvas.least, canvas.most + 1)):
        box = _place(draws, canvas, boxes)
        if box is None:
            continue
        number, (left, top, size) = int(draws.integers(len(digits))), box
        ink = np.asarray(Image.fromarray(digits[number]).resize((size, size), Image.Resampling.BILINEAR))
        seen = ink >= INK
        bright = draws.uniform(0.6, 1.0)
        place = np.s_[top : top + size, left : left + size]
        image[place][seen] = (ink[seen] * bright).astype(np.uint8)
        chosen.append(number)
        boxes.append(box)
        instances[place][seen] = len(chosen)
    return _without_hidden(Scene(image, instances, labels[chosen].astype(np.int64)))


def _place(
    draws: np.random.Generator, canvas: Canvas, others: list[tuple[int, int, int]]
) -> tuple[int, int, int] | None:
    """Left, top and side of a digit that covers little of others; None where none is found."""
    for _ in range(TRIES):
        size = int(draws.integers(canvas.smallest, canvas.largest + 1))
        left, top = (int(each) for each in draws.integers(0, canvas.side - size + 1, 2))
        if all(_shared((left, top, size), other) <= OVERLAP * min(size, other[2]) ** 2 for other in others):
            return left, top, size
    return None


def _shared(one: tuple[int, int, int], other: tuple[int, int, int]) -> int:
    """Pixels that are in both boxes."""
    sides = (min(one[k] + one[2], other[k] + other[2]) - max(one[k], other[k]) for k in (0, 1))
    width, height = (max(0, each) for each in sides)
    return width * height


def _without_hidden(found: Scene) -> Scene:
    """Digits of which nothing is seen are not there."""
    seen = np.unique(found.instances)
    seen = seen[seen > 0]
    if len(seen) == len(found.labels):
        return found
    numbers = np.zeros(1 + len(found.labels), np.uint8)
    numbers[seen] = np.arange(1, 1 + len(seen))
    return Scene(found.image, numbers[found.instances], found.labels[seen - 1])
