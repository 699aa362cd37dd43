"""Resizing only the middle of a long image, to the pixels that resizing all of it gives."""

from __future__ import annotations

from math import ceil, gcd

import PIL
from PIL import Image

# from Pillow 13 on an image whose height shrinks by more than twice as many pixels as its width goes along y first
MAY_BEGIN_WITH_Y = int(PIL.__version__.partition(".")[0]) >= 13
PIXELS = 2**20  # that are resized at once


def middle(
    image: Image.Image, axis: int, size: int, length: int, part: tuple[int, int], how: Image.Resampling
) -> Image.Image:
    """``image.resize`` to `length` pixels along `axis` (0: x, 1: y) and `size` across, from and to the pixels `part`.

    PIL resizes along x, rounds, then along y, or, see `MAY_BEGIN_WITH_Y`, the other way round; each is done here by
    itself, on as little as is needed. To the nearest pixel the order makes no difference.
    """
    along = [(axis, length, *part), (1 - axis, size, 0, size)]
    if how is not Image.Resampling.NEAREST:
        along.sort(reverse=_begins_with_y(image.size, (along[axis][1], along[1 - axis][1])))
    for each in along:
        image = _resized(image, *each, how)
    return image


def _begins_with_y(before: tuple[int, int], after: tuple[int, int]) -> bool:
    """Sizes as (x, y)."""
    fewer = before[1] - after[1]
    return MAY_BEGIN_WITH_Y and fewer > max(0, 2 * (before[0] - after[0]))


def _resized(image: Image.Image, axis: int, length: int, start: int, stop: int, how: Image.Resampling) -> Image.Image:
    """Along one axis; cut only where a border of pixels stays one, so that the rest is not shifted by a fraction."""
    borders = gcd(image.size[axis], length) if how is not Image.Resampling.NEAREST else 1
    before, after = image.size[axis] // borders, length // borders  # pixels from one such border to the next
    first, last = start // after, ceil(stop / after)
    across, span = image.size[1 - axis], (last - first) * after
    found = Image.new(image.mode, _size(axis, stop - start, across))
    at_once = max(1, PIXELS // span)
    for line in range(0, across, at_once):
        count = min(at_once, across - line)
        strip = image.crop((*_size(axis, 0, line), *_size(axis, image.size[axis], line + count)))
        box = (*_size(axis, first * before, 0), *_size(axis, last * before, count))
        strip = strip.resize(_size(axis, span, count), how, box=box)
        offset = first * after
        cut = (*_size(axis, start - offset, 0), *_size(axis, stop - offset, count))
        found.paste(strip.crop(cut), _size(axis, 0, line))
    return found


def _size(axis: int, along: int, across: int) -> tuple[int, int]:
    """As (x, y)."""
    return (along, across) if axis == 0 else (across, along)
