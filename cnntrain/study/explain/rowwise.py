"""Maps of signals and volumes: a line in the colours of its map, a row of frames above the same under theirs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cnntrain.core.words import printable
from cnntrain.study.curves import PLAIN, picture
from cnntrain.study.explain.drawing import AGAINST, FOR, overlay, show, strengths
from cnntrain.study.explain.explaining import Explanation

NEUTRAL = (0.72, 0.72, 0.72)  # grey, of what counts for nothing
COLOURS = LinearSegmentedColormap.from_list("for and against", [AGAINST, NEUTRAL, FOR])
SHADE = 0.16  # of the colours behind a line
CHANNELS = 4  # of a signal, that are drawn: the first ones
FRAMES = 8  # of a volume, that are drawn: spread evenly over it
GAP = 0.04  # of a frame's width, between frames


class Size(NamedTuple):
    """Inches of an explanation, and how many stand beside each other on a sheet."""

    width: float
    height: float
    columns: int


def draw(found: Explanation, title: str) -> bytes:
    """A PNG of one explanation."""
    return _stacked([found], title, 1.6)


def sheet(found: Sequence[Explanation], title: str) -> bytes:
    """A PNG of all."""
    return _stacked(found, title, 1.0)


def _stacked(found: Sequence[Explanation], title: str, times: float) -> bytes:
    """Args:
    times: how large each is.
    """
    size = _size(found[0])
    columns = min(size.columns, len(found))
    rows = -(-len(found) // columns)
    height = times * size.height * rows + 0.5
    figure = Figure(figsize=(times * size.width * columns, height), dpi=100)
    figure.suptitle(title, fontsize=10, **PLAIN)
    share = 1 - 0.4 / height
    for number, each in enumerate(found):
        row, column = divmod(number, columns)
        cell = (column / columns, share * (1 - (row + 1) / rows), 1 / columns, share / rows)
        _draw(figure, cell, each)
    return picture(figure, "png")


def _size(found: Explanation) -> Size:
    if found.map.ndim == 1:
        return Size(3.6, 0.5 + 1.1 * min(CHANNELS, found.seen.shape[1]), 3)
    frames = min(FRAMES, len(found.map))
    return Size(0.7 * frames + 0.2, 0.45 + 2 * 0.75 * found.map.shape[1] / found.map.shape[2], 2)


def _draw(figure: Figure, cell: tuple[float, float, float, float], found: Explanation) -> None:
    """One explanation in a part of the figure: left, bottom, width and height, as shares."""
    left, bottom, width, height = cell
    count = min(CHANNELS, found.seen.shape[1]) if found.map.ndim == 1 else 2
    title = f"for {printable(found.target, 24)}, {found.probability:.1%}"
    if found.target != found.answer:
        title += f"; answer {printable(found.answer, 14)}"
    inner = 0.8 * height / count
    margin = 0.1 if found.map.ndim == 1 else 0.02
    panels = []
    for number in range(count):
        low = bottom + 0.06 * height + (count - 1 - number) * inner
        panels.append(figure.add_axes((left + margin * width, low, (0.98 - margin) * width, 0.92 * inner)))
    (_line if found.map.ndim == 1 else _frames)(panels, found)
    panels[0].set_title(title, fontsize=8, **PLAIN)


def _line(panels: Sequence[Axes], found: Explanation) -> None:
    """A panel a channel. Behind the line are its colours, paler."""
    strength = strengths(found.map)
    places = np.arange(len(found.map))
    between = (strength[1:] + strength[:-1]) / 2 if len(strength) > 1 else strength
    for number, (panel, values) in enumerate(zip(panels, found.seen.T, strict=False)):
        points = np.stack([places, values], 1)
        line = LineCollection(np.stack([points[:-1], points[1:]], 1), cmap=COLOURS, linewidths=2.2)
        line.set_array(between)
        line.set_clim(-1, 1)
        panel.add_collection(line)
        low, high = float(values.min()), float(values.max())
        room = 0.08 * (high - low or 1.0)
        edges = (-0.5, len(strength) - 0.5, low - room, high + room)
        panel.imshow(strength[None], COLOURS, vmin=-1, vmax=1, alpha=SHADE, aspect="auto", extent=edges)
        panel.axis(edges)
        panel.tick_params(labelsize=6, labelbottom=number == len(panels) - 1)
        panel.yaxis.set_major_locator(MaxNLocator(3))


def _frames(panels: Sequence[Axes], found: Explanation) -> None:
    count = len(found.map)
    chosen = np.linspace(0, count - 1, min(FRAMES, count)).round().astype(int)
    height = found.map.shape[1]
    # one scale for all frames
    painted = overlay(found.seen.reshape(count * height, *found.seen.shape[2:]), found.map.reshape(count * height, -1))
    for panel, frames in zip(panels, (found.seen, painted.reshape(*found.map.shape, 3)), strict=True):
        show(panel, side_by_side(frames[chosen]), "")


def side_by_side(frames: np.ndarray) -> np.ndarray:
    """[height, width of all, channels] of [frames, height, width, channels] from 0 to 1, white between them."""
    gap = np.ones((frames.shape[1], max(1, round(GAP * frames.shape[2])), frames.shape[3]))
    return np.concatenate([part for frame in frames for part in (frame, gap)][:-1], 1)
