"""Maps laid over the images that they are of."""

from __future__ import annotations

import io
from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from cnntrain.core.words import printable
from cnntrain.study.curves import PLAIN, picture
from cnntrain.study.explain.explaining import Explanation

STRENGTH = 0.65  # of the colour over the image
PALEST = 0.45  # what black becomes under a map with both signs: dark red and dark blue look alike on black
FOR, AGAINST = (0.86, 0.04, 0.04), (0.04, 0.16, 0.92)  # red and blue
OUTLINE = "lime"
QUANTILE = 0.995  # of a map's values that is drawn as the strongest, so that one pixel does not hide all others
COLUMNS = 4  # of a sheet, image and overlay beside each other
MOST = 24  # images of a sheet


def overlay(seen: np.ndarray, values: np.ndarray) -> np.ndarray:
    """An image in grey under its map, float [height, width, 3]: from dark, where the map is 0, to bright where it is
    greatest; of a map with both signs red speaks for the class, and blue against it, on a paler image.

    Args:
        seen: [height, width, channels], from 0 to 1.
        values: [height, width].
    """
    grey = seen.mean(2, keepdims=True).repeat(3, 2)
    strength = strengths(values)
    if values.min() >= 0:
        painted, opacity = matplotlib.colormaps["inferno"](strength), np.full_like(grey[..., :1], STRENGTH)
    else:
        grey = PALEST + (1 - PALEST) * grey
        painted, opacity = np.where(strength[..., None] > 0, FOR, AGAINST), STRENGTH * np.abs(strength)[..., None]
    return np.clip((1 - opacity) * grey + opacity * painted[..., :3], 0, 1)


def strengths(values: np.ndarray) -> np.ndarray:
    """A map's values as from -1 to 1, the strongest of which are cut off there."""
    scale = np.quantile(np.abs(values), QUANTILE) or np.abs(values).max() or 1.0
    return np.clip(values / scale, -1, 1)


def draw(found: Explanation, original: np.ndarray, title: str) -> bytes:
    """A PNG: the image as it is in its file, as the network sees it, and with its map.

    Args:
        original: uint8 [height, width, channels].
    """
    figure = Figure(figsize=(9, 3.5), dpi=100)
    figure.suptitle(title, fontsize=10, **PLAIN)
    panels = figure.subplots(1, 3, gridspec_kw=dict(left=0.01, right=0.99, bottom=0.02, top=0.84, wspace=0.04))
    names = ("file", "what the network sees", f"for {printable(found.target, 24)}, {found.probability:.1%}")
    for axes, pixels, name in zip(panels, (original, found.seen, overlay(found.seen, found.map)), names, strict=True):
        show(axes, pixels, name)
    outline(panels[2], found.part)
    return picture(figure, "png")


def sheet(found: Sequence[Explanation], title: str) -> bytes:
    """A PNG of all: what the network sees beside the same with its map."""
    count = min(COLUMNS, len(found))
    rows = -(-len(found) // count)
    height = 2.0 * rows + 0.4
    figure = Figure(figsize=(3.4 * count, height), dpi=100)
    figure.suptitle(title, fontsize=10, **PLAIN)
    edges = dict(left=0.01, right=0.99, bottom=0.02, top=1 - 0.6 / height, wspace=0.05, hspace=0.2)
    cells = figure.subplots(rows, 2 * count, squeeze=False, gridspec_kw=edges)
    for axes in cells.flat:
        axes.set_axis_off()
    for number, each in enumerate(found):
        row, column = divmod(number, count)
        right = "" if each.target == each.answer else f"answer {printable(each.answer, 14)}"
        show(cells[row, 2 * column], each.seen, right)
        about = f"{printable(each.target, 14)} {each.probability:.0%}"
        show(cells[row, 2 * column + 1], overlay(each.seen, each.map), about)
        outline(cells[row, 2 * column + 1], each.part)
    return picture(figure, "png")


def outline(axes: Axes, part: np.ndarray | None) -> None:
    """The rim of some pixels, bool [height, width]; None: there is none to draw."""
    if part is None:
        return
    limits = axes.axis()
    padded = np.pad(part, 1).astype(float)
    rows, columns = (np.arange(-1, each + 1) for each in part.shape)
    axes.contour(columns, rows, padded, levels=[0.5], colors=OUTLINE, linewidths=1.2)
    axes.axis(limits)


def show(axes: Axes, pixels: np.ndarray, name: str) -> None:
    axes.imshow(pixels.squeeze(), cmap="gray" if pixels.shape[2] == 1 else None)
    axes.set_title(name, fontsize=8, **PLAIN)
    axes.set_axis_off()


def pixels_of(png: bytes) -> np.ndarray:
    """uint8 [height, width, 3] of a picture's file."""
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
