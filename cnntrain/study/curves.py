"""Curves as a picture: a panel for each metric, the mean as a line, the lowest to the highest run as a band or bar."""

from __future__ import annotations

import io
from collections.abc import Sequence
from math import isfinite, nan
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import ScaledTranslation

from cnntrain.core.words import CELL, MOST, printable
from cnntrain.runs.history import is_number, text
from cnntrain.study.comparison import EPOCH, Comparison, Curve, ordered

# told apart with every kind of colour vision (Okabe and Ito 2008, without the yellow, which is faint on white)
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
MARKERS = "osD^vPX*"
DASHES = ("-", "--", ":")  # after each round of colours
PANEL_WIDTH, HEIGHT, LEGEND_WIDTH = 4.8, 3.8, 1.7  # inches
DODGE, DODGED = 4.0, 16.0  # points between the bars of neighbouring curves, and at most between the first and the last
ABOVE_ALL = 102  # percent, so that a marker at 100 is whole
PLAIN: dict[str, Any] = {"parse_math": False}  # text of a user's as it is: no formula between dollars
LETTERS = 50  # that fit below a panel
LOGARITHMIC = 10  # from the least to the most x, all above 0: the ratio from which the axis is logarithmic


def figure(shown: Comparison, x: str, title: str, curve: str | None, y_range: Sequence[float] | None) -> Figure:
    """The picture of a comparison, a panel for each metric; those of one unit share their axis."""
    count = len(shown.curves)
    units = {shown.column(metric).percent or metric for metric in shown.curves}
    drawn = Figure(figsize=(count * PANEL_WIDTH + LEGEND_WIDTH, HEIGHT), dpi=150, layout="constrained")
    panels = drawn.subplots(1, count, squeeze=False, sharey=len(units) == 1)[0]
    for panel, (metric, curves) in zip(panels, shown.curves.items(), strict=True):
        scale = 100 if shown.column(metric).percent else 1
        (_draw_by_epoch if x == EPOCH else _draw_by_setting)(panel, curves, scale)
    for panel, metric in zip(panels, shown.curves, strict=True):  # all are drawn: they may share limits
        _dress(panel, x, shown.label(metric), shown.column(metric).percent, y_range)
    handles, labels = panels[0].get_legend_handles_labels()
    if curve is not None:
        drawn.legend(handles, labels, title=_shown(curve), loc="outside right center", frameon=False, alignment="left")
    drawn.suptitle(_shown(title, MOST), fontsize="large")
    return drawn


def picture(drawn: Figure, kind: str) -> bytes:
    """The file's content; equal figures give equal files.

    Args:
        kind: png, svg or pdf.
    """
    content = io.BytesIO()
    dateless = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[kind]
    with matplotlib.rc_context({"svg.hashsalt": "cnntrain"}):
        drawn.savefig(content, format=kind, metadata=dateless)
    return content.getvalue()


def _shown(value: str, most: int = CELL) -> str:
    """Text of a user's as it is: no formula between dollars, no label that is hidden for its underscore."""
    words = printable(value, most).replace("$", r"\$")
    return f" {words}" if words.startswith("_") else words


def _style(number: int) -> dict[str, Any]:
    colour, rounds = COLOURS[number % len(COLOURS)], number // len(COLOURS)
    return {"color": colour, "linestyle": DASHES[rounds % len(DASHES)], "linewidth": 1.6}


def _scaled(curve: Curve, scale: float) -> list[list[float]]:
    """Mean, lowest and highest of each point; what is no finite number leaves a gap."""
    rows = zip(*((point.mean, point.low, point.high) for point in curve.points), strict=True)
    return [[scale * each if isfinite(each) else nan for each in row] for row in rows] or [[], [], []]


def _draw_by_epoch(panel: Axes, curves: Sequence[Curve], scale: float) -> None:
    for number, curve in enumerate(curves):
        epochs = [point.x for point in curve.points]
        mean, low, high = _scaled(curve, scale)
        style = _style(number)
        panel.fill_between(epochs, low, high, color=style["color"], alpha=0.18, linewidth=0)
        panel.plot(epochs, mean, label=_shown(curve.label), marker="o" if len(epochs) == 1 else None, **style)
    panel.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))  # one epoch has one tick
    panel.margins(x=0.02)


def _draw_by_setting(panel: Axes, curves: Sequence[Curve], scale: float) -> None:
    """Points with bars; the curves stand a little apart, so that the bars at one x can be told from each other."""
    values = ordered({point.x: None for curve in curves for point in curve.points})
    numbers = all(is_number(value) for value in values)
    places = {value: value if numbers else place for place, value in enumerate(values)}
    if numbers and min(values) > 0 and max(values) >= LOGARITHMIC * min(values):
        panel.set_xscale("log")
    for number, curve in enumerate(curves):
        x = [places[point.x] for point in curve.points]
        mean, low, high = _scaled(curve, scale)
        aside = min(DODGE, DODGED / len(curves)) * (number - (len(curves) - 1) / 2) / 72
        transform = panel.transData + ScaledTranslation(aside, 0, panel.figure.dpi_scale_trans)
        style = {**_style(number), "marker": MARKERS[number % len(MARKERS)], "markersize": 4.5}
        if not numbers:
            style["linestyle"] = "none"  # there is nothing between two names
        # the mean of equal numbers may be off by a rounding error
        reach = [[max(0, b - a) for a, b in zip(*pair, strict=True)] for pair in ((low, mean), (mean, high))]
        panel.errorbar(x, mean, reach, label=_shown(curve.label), transform=transform, capsize=2, elinewidth=1, **style)
        if x:  # what is moved aside does not count in the axes' limits by itself
            panel.update_datalim([*zip(x, low, strict=True), *zip(x, high, strict=True)])
    panel.margins(x=0.12)
    panel.autoscale_view()
    panel.set_xticks([places[value] for value in values], [_shown(text(value)) for value in values])
    panel.minorticks_off()
    if not numbers and sum(len(_shown(text(value))) + 2 for value in values) > LETTERS:
        panel.tick_params("x", rotation=90)


def _dress(panel: Axes, x: str, y: str, percent: bool, y_range: Sequence[float] | None) -> None:
    panel.set_xlabel(_shown(x))
    panel.set_ylabel(_shown(y))
    if y_range is not None:
        panel.set_ylim(*y_range)
    elif percent:
        low, high = panel.get_ylim()
        panel.set_ylim(max(low, 0), min(high, ABOVE_ALL))
    panel.grid(color="0.9", linewidth=0.8)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)
