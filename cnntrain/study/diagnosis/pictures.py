"""The pictures of a diagnosis."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from cnntrain.core.files import write_atomic
from cnntrain.core.words import CELL, printable
from cnntrain.study.curves import COLOURS, PLAIN, picture

NAMED = 60  # layers whose names fit at an axis


def draw_gradients(path: Path, numbers: Mapping[str, Mapping[str, float]], title: str) -> None:
    """Of each layer the gradient over the weights, before training and after a short trial."""
    names = [printable(each, CELL) for each in numbers["before"]]
    figure = Figure(figsize=(float(np.clip(2 + 0.25 * len(names), 5, 16)), 4.5), layout="constrained")
    axes = figure.subplots()
    for (key, label), colour in zip(
        {"before": "before training", "after": "after a trial"}.items(), COLOURS, strict=False
    ):
        values = [each if isfinite(each) and each > 0 else np.nan for each in numbers[key].values()]
        axes.plot(range(len(values)), values, marker="o", markersize=4, color=colour, label=label)
    axes.set_yscale("log")
    axes.set_ylabel("gradient / weight (root mean squares)")
    axes.set_title(title, **PLAIN)
    if len(names) <= NAMED:
        axes.set_xticks(range(len(names)), names, rotation=90, fontsize=7, **PLAIN)
    else:
        axes.set_xlabel("layer, from the image on")
    axes.legend(fontsize=8)
    axes.grid(color="0.9", linewidth=0.8)
    write_atomic(path, picture(figure, "png"))


def draw_curve(path: Path, curve: Mapping[str, Any], title: str) -> None:
    """The errors by images, the law through them, and what it foretells."""
    figure = Figure(figsize=(5.5, 4.2), layout="constrained")
    axes = figure.subplots()
    images = [each["images"] for each in curve["points"]]
    axes.plot(images, [100 * each["error"] for each in curve["points"]], "o", color=COLOURS[0], label="trained")
    if curve["fits"]:
        ahead = curve["ahead"]
        x = np.geomspace(images[0], ahead[-1]["images"], 50)
        axes.plot(
            x, 100 * np.minimum(1, curve["scale"] * x ** -curve["exponent"]), ":", color="grey", label="power law"
        )
        middle = np.array([100 * each["error"] for each in ahead])
        low, high = (np.array([100 * each["interval"][end] for each in ahead]) for end in (0, 1))
        reach = np.maximum(0, [middle - low, high - middle])
        places = [each["images"] for each in ahead]
        axes.errorbar(places, middle, reach, fmt="s", color=COLOURS[1], capsize=3, label="foretold, 95%")
    axes.set(xscale="log", yscale="log", xlabel="training images", ylabel="validation error, %")
    axes.set_title(title, **PLAIN)
    axes.legend(fontsize=8)
    axes.set_xticks(images, [f"{each:,}" for each in images])
    axes.minorticks_off()
    axes.grid(color="0.92", linewidth=0.8)
    write_atomic(path, picture(figure, "png"))
