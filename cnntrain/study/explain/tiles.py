"""Many small pictures in one: maps, filters and images side by side, each enlarged pixel by pixel."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cnntrain.core.words import printable
from cnntrain.study.explain.drawing import PLAIN

SIDE = 1.05  # inches of a tile
GAP = 0.06  # of a tile's side, around it


def rows_of(count: int, columns: int) -> int:
    return ceil(count / columns)


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


def figure(tiles: Sequence[np.ndarray], names: Sequence[str], columns: int, title: str, side: float = SIDE) -> Figure:
    """A grid of tiles, row by row, each with its name above it.

    Args:
        tiles: [height, width, 3] each, from 0 to 1 or uint8, of any sizes.
        names: as many; empty ones are left out.
        side: inches of a tile.
    """
    rows = rows_of(len(tiles), columns)
    lines = max((each.count("\n") + 1 for each in names if each), default=0)
    height = rows * (side + 0.13 * lines + 0.04) + 0.45
    drawn = Figure(figsize=(max(columns * side, 3.2) + 0.2, height), dpi=110)
    drawn.suptitle(title, fontsize=9, y=1 - 0.12 / height, va="top", **PLAIN)
    grid = drawn.subplots(
        rows, columns, squeeze=False,
        gridspec_kw={"left": 0.01, "right": 0.99, "bottom": 0.06 / height, "top": 1 - (0.4 + 0.13 * lines) / height,
                     "wspace": GAP, "hspace": (0.13 * lines + 0.04) / side + GAP / 2},
    )  # fmt: skip
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, tile, name in zip(grid.flat, tiles, names, strict=False):
        show(axes, tile, name)
    return drawn


def show(axes: Axes, tile: np.ndarray, name: str = "") -> None:
    """One tile with its name, its pixels as squares."""
    axes.imshow(tile, interpolation="nearest" if max(tile.shape[:2]) < 100 else None, vmin=0, vmax=1)
    axes.set_axis_off()
    if name:
        axes.set_title("\n".join(printable(line, 24) for line in name.split("\n")), fontsize=6.5, pad=2, **PLAIN)


def of_image(seen: np.ndarray) -> np.ndarray:
    """[height, width, 3] of an image [channels, height, width] with one channel or three."""
    return np.repeat(seen, 3, 0).transpose(1, 2, 0) if len(seen) == 1 else seen.transpose(1, 2, 0)
