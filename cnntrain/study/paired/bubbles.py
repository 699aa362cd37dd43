"""Accuracy by operations, with parameters as areas (after Canziani et al. 2016, arXiv:1605.07678)."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from cnntrain.core.units import in_counts
from cnntrain.core.words import CELL, MOST, printable
from cnntrain.study.curves import COLOURS, LOGARITHMIC
from cnntrain.study.paired.statistics import accuracy
from cnntrain.study.paired.systems import System

LARGEST = 1200.0  # square points, of the system with the most parameters
LEAST = 12.0  # so that a small one can be seen beside a large one


def figure(systems: Sequence[System], title: str) -> Figure | None:
    """A bubble a system, with the interval of its accuracy; None where no system's cost is known."""
    costs = [(each, each.figure("macs"), each.figure("params")) for each in systems]
    known = [(each, macs, params) for each, macs, params in costs if macs and params]
    if not known:
        return None
    drawn = Figure(figsize=(8, 4.6), dpi=150, layout="constrained")
    axes = drawn.subplots()
    most = max(params for _, _, params in known)
    for number, (each, macs, params) in enumerate(known):
        colour = COLOURS[number % len(COLOURS)]
        name = f" {printable(each.name, CELL)}: {in_counts(params)} parameters"  # no label that starts with _ is hidden
        low, high = accuracy(each.right)
        bar = [[100 * (each.mean - low)], [100 * (high - each.mean)]]
        axes.errorbar([macs], [100 * each.mean], bar, color=colour, capsize=3, zorder=3)
        size = max(LARGEST * params / most, LEAST)
        axes.scatter([macs], [100 * each.mean], s=size, color=colour, alpha=0.45, zorder=2)
        axes.plot([macs], [100 * each.mean], "o", color=colour, markersize=4, zorder=4, label=name.replace("$", r"\$"))
    if max(macs for _, macs, _ in known) >= LOGARITHMIC * min(macs for _, macs, _ in known):
        axes.set_xscale("log")
    axes.xaxis.set_major_formatter(EngFormatter())
    axes.margins(0.2)
    axes.set(xlabel="multiply-adds an image", ylabel="accuracy (%), with its 95% interval")
    axes.set_title(printable(title, MOST), parse_math=False)
    axes.grid(color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    drawn.legend(loc="outside right center", frameon=False, title="areas: parameters", alignment="left")
    return drawn
