"""The learning rate of each step before there is a run, for each group of parameters that a transfer policy makes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan, nan
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from cnntrain.config.schema import Model, Trainer
from cnntrain.core.errors import ConfigError
from cnntrain.core.words import CELL, printable
from cnntrain.models import registry
from cnntrain.schedule.base import Course, Position, Schedule
from cnntrain.study.curves import COLOURS, DASHES
from cnntrain.transfer.base import Transfer
from cnntrain.transfer.freezing import Freezing

COLUMNS = ["group", "first", "highest", "last", "trained from epoch"]
CLASSES, CHANNELS = 10, 3  # of the network, which no rate depends on
TOO_MANY = 1_000_000  # steps
WIDTH = 1.6  # of a line, in points


@dataclass(frozen=True)
class Rates:
    """What each step of each group would have.

    Attributes:
        groups: by name, float64 [steps]; nan where the group is frozen.
        steps: of an epoch.
        notes: lines for the user.
    """

    groups: dict[str, np.ndarray]
    steps: int
    notes: list[str]

    def rows(self) -> list[list[str]]:
        """Of `COLUMNS`."""
        return [[name, *_cells(values, self.steps)] for name, values in self.groups.items()]

    def facts(self) -> dict[str, Any]:
        """The rate of each epoch's first step and of the run's last; null where a group is frozen."""
        groups = {}
        for name, values in self.groups.items():
            rows = [*values[:: self.steps].tolist(), float(values[-1])]
            groups[name] = [None if isnan(each) else each for each in rows]
        return {"steps_per_epoch": self.steps, "groups": groups, "notes": self.notes}


def _cells(values: np.ndarray, steps: int) -> list[str]:
    (trained,) = np.nonzero(~np.isnan(values))
    if not len(trained):
        return ["", "", "", "never"]
    chosen = values[trained[0]], np.nanmax(values), values[trained[-1]]
    return [*(f"{each:.4g}" for each in chosen), str(trained[0] // steps + 1)]


def rates(schedule: Schedule, lr: float, trainer: Trainer, transfer: Transfer, model: Model, steps: int) -> Rates:
    """By the functions that a run takes them from.

    Args:
        lr: of the optimizer, before the schedule.
        steps: of an epoch.

    Raises:
        ConfigError: the policy decides by data, trains networks side by side or does not fit the model, or the run has
            too many steps to draw.
    """
    if type(transfer).decide is not Transfer.decide or transfer.side_by_side:
        what = "trains networks side by side" if transfer.side_by_side else "decides by the data"
        raise ConfigError(f"transfer={transfer.name} {what}: its rates are not known before a run")
    total = min(trainer.epochs * steps, trainer.max_steps or trainer.epochs * steps)
    if total > TOO_MANY:
        raise ConfigError(f"trainer.epochs={trainer.epochs} of steps={steps} are too many to draw: take fewer steps")
    registry.register()
    with torch.device("meta"):
        network = model.create(CLASSES, CHANNELS, None, pretrained=False)
    freezing = Freezing(network, transfer)
    multipliers = transfer.rate_multipliers(network, freezing.head)
    course = schedule.start()
    base = np.array([course.rate(1.0, Position(step, steps, total)) for step in range(total)])
    epochs = range(-(-total // steps))
    base *= np.repeat([transfer.rate_multiplier(epoch) for epoch in epochs], steps)[:total]
    frozen = [freezing.planned(epoch) for epoch in epochs]
    found: dict[tuple[float | None, ...], list[str]] = {}  # a factor an epoch; None: frozen
    for group in freezing.groups:
        for factor in dict.fromkeys(multipliers[name] for name in group.parameters):
            own = [name for name in group.parameters if multipliers[name] == factor]
            state = tuple(None if set(own) <= names else factor for names in frozen)
            found.setdefault(state, []).append(group.name)
    groups = {_named(names): _of(state, base * lr, steps) for state, names in found.items()}
    notes = []
    if type(course).observe is not Course.observe:
        notes.append(
            f"schedule={schedule.name} lowers the rate when a metric has stopped improving, which is not known before "
            "a run: drawn as if it never did"
        )
    return Rates(groups, steps, notes)


def _named(names: Sequence[str]) -> str:
    """Neighbours that are alike, by the first and the last."""
    names = list(dict.fromkeys(names))
    return names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"


def _of(factors: Sequence[float | None], base: np.ndarray, steps: int) -> np.ndarray:
    """The rates of a group, of which each epoch's factor is known; None: frozen."""
    found: np.ndarray = base * np.repeat([nan if each is None else each for each in factors], steps)[: len(base)]
    return found


def figure(found: Rates, title: str) -> Figure:
    """Rate by epoch, a line a group; where rates are far apart on a logarithmic axis."""
    drawn = Figure(figsize=(7, 4), dpi=130, layout="constrained")
    axes = drawn.subplots()
    for number, (name, values) in enumerate(found.groups.items()):
        epochs = np.arange(len(values)) / found.steps
        colour, dashes = COLOURS[number % len(COLOURS)], DASHES[number // len(COLOURS) % len(DASHES)]
        (trained,) = np.nonzero(~np.isnan(values))
        width = WIDTH * (len(found.groups) - number)  # those that lie under others are seen beside them
        label = printable(name, CELL) + ("" if len(trained) else " (never trained)")
        axes.plot(epochs, values, label=label, color=colour, linestyle=dashes, linewidth=width)
        axes.plot(epochs[trained[:1]], values[trained[:1]], marker="o", markersize=width + 3, color=colour)
    axes.set(xlabel="epoch", ylabel="learning rate")
    axes.set_title(title, fontsize=10, parse_math=False)
    highest = [float(np.nanmax(each)) for each in found.groups.values() if not np.isnan(each).all()]
    if highest and max(highest) > 10 * min(highest):
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    if len(found.groups) > 1:
        axes.legend(fontsize=8)
    axes.grid(color="0.9", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    return drawn
