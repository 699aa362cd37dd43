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
from cnntrain.study.explain.tiles import side_by_side

NEUTRAL = (0.72, 0.72, 0.72)  # grey, of what counts for nothing
COLOURS = LinearSegmentedColormap.from_list("for and against", [AGAINST, NEUTRAL, FOR])
SHADE = 0.16  # of the colours behind a line
CHANNELS = 4  # of a signal, that are drawn: the first ones
FRAMES = 8  # of a volume, that are drawn: spread evenly over it
HEAD, ABOVE, AROUND = 0.3, 0.25, 0.1  # inches: of the title, above an explanation, around its panels
WIDTH = 4.5  # inches that a title needs


class Cell(NamedTuple):
    """Inches of an explanation: of a panel, and what is left of the panels and below them; and how many panels stand
    one below the other, and explanations beside each other on a sheet."""

    width: float
    height: float
    left: float
    below: float
    panels: int
    columns: int

    @property
    def whole(self) -> tuple[float, float]:
        return self.left + self.width + AROUND, ABOVE + self.panels * (self.height + AROUND) + self.below


def draw(found: Explanation, title: str) -> bytes:
    """A PNG of one explanation."""
    return _stacked([found], title, 1.8)


def sheet(found: Sequence[Explanation], title: str) -> bytes:
    """A PNG of all."""
    return _stacked(found, title, 1.0)


def _stacked(found: Sequence[Explanation], title: str, times: float) -> bytes:
    """Args:
    times: how large each is.
    """
    cell = _cell(found[0], times)
    columns = min(cell.columns, len(found))
    width, height = cell.whole
    whole = max(WIDTH, columns * width), -(-len(found) // columns) * height + HEAD
    figure = Figure(figsize=whole, dpi=100)
    figure.text(0.5, 1 - 0.08 / whole[1], title, ha="center", va="top", fontsize=10, **PLAIN)
    for number, each in enumerate(found):
        row, column = divmod(number, columns)
        left, top = column * width + cell.left, whole[1] - HEAD - row * height - ABOVE
        panels = []
        for panel in range(cell.panels):
            low = top - (panel + 1) * (cell.height + AROUND)
            inches = (left / whole[0], low / whole[1], cell.width / whole[0], cell.height / whole[1])
            panels.append(figure.add_axes(inches))
        (_line if each.map.ndim == 1 else _frames)(panels, each)
        panels[0].set_title(_about(each), fontsize=8, **PLAIN)
    return picture(figure, "png")


def _cell(found: Explanation, times: float) -> Cell:
    if found.map.ndim == 1:
        return Cell(times * 3.0, times * 1.1, 0.45, 0.25, min(CHANNELS, found.seen.shape[1]), 3)
    side = times * 0.7
    count, (_, height, width) = min(FRAMES, len(found.map)), found.map.shape
    return Cell(side * count, side * height / width, AROUND, 0.0, 2, 2)


def _about(found: Explanation) -> str:
    right = "" if found.target == found.answer else f"; answer {printable(found.answer, 14)}"
    return f"for {printable(found.target, 24)}, {found.probability:.1%}{right}"


def _line(panels: Sequence[Axes], found: Explanation) -> None:
    """A panel a channel. Behind the line are its colours, paler."""
    strength = strengths(found.map)
    places = np.arange(len(found.map))
    between = (strength[1:] + strength[:-1]) / 2 if len(strength) > 1 else strength
    for number, (panel, values) in enumerate(zip(panels, found.seen.T, strict=False)):
        points = np.stack([places, values], 1)
        line = LineCollection([*np.stack([points[:-1], points[1:]], 1)], cmap=COLOURS, linewidths=2.2)
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
