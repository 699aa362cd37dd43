"""Many small pictures in one: maps, filters and images side by side, each enlarged pixel by pixel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from types import MappingProxyType

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from cnntrain.core.words import printable
from cnntrain.data.sets import bands
from cnntrain.study.curves import PLAIN

SIDE = 1.05  # inches of a tile
GAP = 0.06  # inches between tiles
LINE, HEAD = 0.13, 0.36  # inches of a line above a tile, and of the title
DPI, WIDTH = 110, 4.6  # of a picture, and inches that a title needs
LETTERS = 16  # an inch
BETWEEN = 0.04  # of a frame's width, between the frames of a volume
WIDER = 2  # a line's width, of its height, at least


def spread(values: np.ndarray) -> np.ndarray:
    """Each map from its least value, 0, to its greatest, 1; one that is the same everywhere is 0.

    Args:
        values: [maps, ...].
    """
    flat = values.reshape(len(values), -1).astype(np.float64)
    low, high = flat.min(1, keepdims=True), flat.max(1, keepdims=True)
    return ((flat - low) / np.where(high > low, high - low, 1)).reshape(values.shape)


def signed(values: np.ndarray) -> np.ndarray:
    """Each filter so that 0 is at 0.5, and what is farthest from it at 0 or 1.

    Args:
        values: [filters, ...].
    """
    flat = values.reshape(len(values), -1).astype(np.float64)
    most = np.abs(flat).max(1, keepdims=True)
    return (flat / np.where(most > 0, 2 * most, 1) + 0.5).reshape(values.shape)


def coloured(values: np.ndarray, colours: str) -> np.ndarray:
    """[..., 3] of values from 0 to 1 by a colour map of matplotlib's."""
    shown: np.ndarray = matplotlib.colormaps[colours](values)[..., :3]
    return shown


def figure(
    tiles: Sequence[np.ndarray],
    names: Sequence[str],
    columns: int,
    title: str,
    side: float = SIDE,
    frames: Mapping[int, tuple[int, int, int, int]] = MappingProxyType({}),
) -> Figure:
    """A grid of tiles, row by row, each with its name above it.

    It is one picture with words on it: axes for each of a thousand filters would take minutes.

    Args:
        tiles: [height, width, 3] each, from 0 to 1 or uint8, of any sizes.
        names: as many; empty ones are left out.
        side: inches of a tile.
        frames: of tiles by number, a part that is framed: first row, the row behind it, first column, the one behind.
    """
    pixels = max(8, round(side * DPI))
    lines = max((each.count("\n") + 1 for each in names), default=1) if any(names) else 0
    above, gap = round(LINE * DPI * lines), round(GAP * DPI)
    rows = ceil(len(tiles) / columns)
    fitted = [_fitted(each, pixels) for each in tiles]
    tall = max(each.shape[0] for each in fitted)
    size = (rows * (tall + above + gap) + gap, columns * (pixels + gap) + gap)
    whole = np.full((*size, 3), 255, np.uint8)
    width, height = max(size[1] / DPI, WIDTH), size[0] / DPI + HEAD
    drawn = Figure(figsize=(width, height), dpi=DPI)
    axes = drawn.add_axes((0, 0, size[1] / DPI / width, 1 - HEAD / height))
    for number, (tile, shown, name) in enumerate(zip(tiles, fitted, names, strict=True)):
        row, column = divmod(number, columns)
        top, left = gap + row * (tall + above + gap) + above, gap + column * (pixels + gap)
        whole[top : top + shown.shape[0], left : left + shown.shape[1]] = shown
        scale = max(tile.shape[:2]) / pixels
        if number in frames:
            first, last, start, end = (each / scale for each in frames[number])
            corner = (left + start - 0.5, top + first - 0.5)
            axes.add_patch(Rectangle(corner, end - start, last - first, fill=False, edgecolor="red", linewidth=1.2))
        if name:
            words = "\n".join(printable(line, round(LETTERS * side)) for line in name.split("\n"))
            middle = left + shown.shape[1] / 2
            axes.text(middle, top - 2, words, ha="center", va="bottom", fontsize=6.5, **PLAIN)
    axes.imshow(whole, interpolation="none", aspect="auto", extent=(-0.5, size[1] - 0.5, size[0] - 0.5, -0.5))
    axes.set_axis_off()
    drawn.text(0.5, 1 - 0.1 / height, title, ha="center", va="top", fontsize=9, **PLAIN)
    return drawn


def _fitted(tile: np.ndarray, side: int) -> np.ndarray:
    """uint8, its longer side of so many pixels; what is enlarged shows its pixels as squares."""
    values = tile if tile.dtype == np.uint8 else np.rint(255 * np.clip(tile, 0, 1)).astype(np.uint8)
    longer = max(values.shape[:2])
    height, width = (max(1, round(each * side / longer)) for each in values.shape[:2])
    how = Image.Resampling.NEAREST if longer < side else Image.Resampling.BOX
    return np.asarray(Image.fromarray(np.ascontiguousarray(values)).resize((width, height), how))


def of_image(seen: np.ndarray) -> np.ndarray:
    """[height, width, 3] of an image [channels, height, width] with one channel or three; of a volume [channels,
    frames, height, width] its frames side by side, of a signal [channels, length] its lines."""
    if seen.ndim == 2:
        lines = bands.drawn(torch.from_numpy(seen)).numpy()
        return of_image(lines.repeat(max(1, round(WIDER * bands.LINE / lines.shape[2])), 2))
    if seen.ndim == 4:
        return side_by_side(seen.repeat(3 // len(seen), 0).transpose(1, 2, 3, 0))
    return np.repeat(seen, 3, 0).transpose(1, 2, 0) if len(seen) == 1 else seen.transpose(1, 2, 0)


def side_by_side(frames: np.ndarray) -> np.ndarray:
    """[height, width of all, channels] of [frames, height, width, channels] from 0 to 1, white between them."""
    gap = np.ones((frames.shape[1], max(1, round(BETWEEN * frames.shape[2])), frames.shape[3]))
    return np.concatenate([part for frame in frames for part in (frame, gap)][:-1], 1)
