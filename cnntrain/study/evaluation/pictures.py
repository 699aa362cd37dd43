"""The pictures of an evaluation: confusion matrix, reliability curve, and the most confident mistakes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cnntrain.core.files import write_atomic
from cnntrain.core.words import CELL, ending, printable
from cnntrain.data.sets.bands import shown, shown_in_words
from cnntrain.data.sets.dataset import Images
from cnntrain.runs.predictions import Predictions
from cnntrain.study.curves import PLAIN, picture
from cnntrain.tasks.classify.calibration import probabilities

NAMED = 40  # classes whose names fit at an axis
NUMBERED = 20  # classes whose counts fit into cells
ROWS, COLUMNS = 4, 6  # of mistakes
ID = 22  # characters of an image's name


def draw_confusion(path: Path, counts: np.ndarray, classes: Sequence[str], title: str) -> None:
    """Shares of each class's samples by answer; of few classes with the counts."""
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = float(np.clip(2.5 + 0.45 * len(classes), 4, 14))
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.subplots()
    shown = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(shown, ax=axes, label="share of the class's images", shrink=0.8)
    axes.set(xlabel="answer", ylabel="label")
    axes.set_title(title, **PLAIN)
    if len(classes) <= NAMED:
        names = [printable(each, CELL) for each in classes]
        axes.set_xticks(range(len(names)), names, rotation=90, **PLAIN)
        axes.set_yticks(range(len(names)), names, **PLAIN)
    if len(classes) <= NUMBERED:
        for (row, column), count in np.ndenumerate(counts):
            if count:
                colour = "white" if shares[row, column] > 0.5 else "black"
                axes.text(column, row, f"{count}", ha="center", va="center", color=colour, fontsize=8)
    write_atomic(path, picture(figure, "png"))


def draw_reliability(path: Path, calibration: Mapping[str, Any], title: str) -> None:
    """Accuracy by confidence, before and after the temperature, with how many images each confidence has."""
    figure = Figure(figsize=(5.5, 6.5), layout="constrained")
    above, below = figure.subplots(2, 1, height_ratios=[3, 1], sharex=True)
    above.plot([0, 1], [0, 1], color="grey", linestyle=":", label="as sure as right")
    temperature = calibration["temperature"]
    names = {"before": "probabilities", "after": f"at temperature {temperature:.3g}" if temperature else ""}
    for key, name in names.items():
        if calibration[key] is not None:
            _reliability(above, below, calibration[key], f"{name}: ECE {calibration[key]['ece']:.3f}")
    above.set(ylabel="accuracy", ylim=(0, 1))
    above.set_title(title, **PLAIN)
    above.legend(loc="upper left", fontsize=8)
    below.set(xlabel="confidence", ylabel="images", xlim=(0, 1), ylim=(0, None))
    write_atomic(path, picture(figure, "png"))


def _reliability(above: Axes, below: Axes, found: Mapping[str, Any], label: str) -> None:
    curve = found["reliability"]
    above.plot(curve["confidence"], curve["accuracy"], marker="o", markersize=4, label=label)
    below.plot(curve["confidence"], curve["count"], marker="o", markersize=3)


def mistakes(predictions: Predictions, most: int = ROWS * COLUMNS) -> np.ndarray:
    """Positions of the wrong answers, the most confident first."""
    found = probabilities(predictions.logits)
    wrong = np.flatnonzero(found.argmax(1) != predictions.labels)
    return wrong[np.argsort(-found[wrong].max(1), kind="stable")][:most]


def draw_mistakes(path: Path, predictions: Predictions, images: Images, title: str) -> None:
    """The most confident mistakes as they are in the set, with label, answer, confidence and name; none: no picture."""
    positions = mistakes(predictions)
    if not len(positions):
        return
    found = probabilities(predictions.logits[positions])
    rows = -(-len(positions) // COLUMNS)
    figure = Figure(figsize=(2.1 * COLUMNS, 2.5 * rows + 0.5), layout="constrained")
    figure.suptitle(title, **PLAIN)
    cells = figure.subplots(rows, COLUMNS, squeeze=False).flat
    for axes in cells:
        axes.set_axis_off()
    for axes, position, row in zip(figure.axes, positions.tolist(), found, strict=False):
        image = images[position]
        pixels = shown(image).permute(1, 2, 0).numpy()
        axes.imshow(pixels.squeeze(), cmap="gray" if pixels.shape[2] == 1 else None, vmin=0, vmax=255)
        label, answer = (predictions.classes[int(each)] for each in (predictions.labels[position], row.argmax()))
        lines = (
            f"{printable(label, 18)} → {printable(answer, 18)}",
            f"{row.max():.0%}  {ending(predictions.ids[position], ID)}",
        )
        axes.set_title("\n".join(lines), fontsize=7, **PLAIN)
    if others := shown_in_words(len(image)):
        figure.suptitle(f"{title}\n{others}", **PLAIN)
    write_atomic(path, picture(figure, "png"))
