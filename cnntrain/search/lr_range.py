"""The learning-rate range test (Smith 2015, arXiv:1506.01186): a short training in which the rate rises from step to
step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.figure import Figure

from cnntrain.build.run import build
from cnntrain.build.trial import fitted
from cnntrain.config.schema import TrainConfig
from cnntrain.core.errors import LossError
from cnntrain.runs.report import Moment, Report
from cnntrain.schedule.base import Position, Schedule

SMOOTHING = 0.9  # of the losses, from one step to the next
DIVERGED = 4.0  # times the least loss, from which on losses tell nothing
FIRST = 0.1  # of the steps, in which the mean has not settled
FALLS = 0.05  # of the first loss, by which it has to fall


@dataclass(frozen=True)
class Rising(Schedule):
    """From `share` of the rate to the whole, by the same factor in each step."""

    share: float

    def decay(self, position: Position) -> float:
        last = max(1, position.total_steps - 1)
        return float(self.share ** (1 - position.step / last))


class Steps(Report):
    """Notes each step's rate and loss. What it is told is the mean loss since the epoch's start."""

    def __init__(self, config: TrainConfig):
        super().__init__(config.task.columns)
        self.rates: list[float] = []
        self.losses: list[float] = []
        self._before = 0.0  # the sum of the epoch's earlier losses

    def step_done(self, now: Moment, loss: Callable[[], float]) -> None:
        total = loss() * now.step_in_epoch
        self.losses.append(total - (self._before if now.step_in_epoch > 1 else 0.0))
        self.rates.append(now.lr)
        self._before = total


@dataclass(frozen=True)
class Range:
    """Attributes:
    rates, losses: of each step, until a loss was no number.
    smooth: the losses' running mean.
    suggestion: the rate at which it falls most steeply before it is least; None where it hardly falls.
    least: the rate at which it is least.
    """

    rates: Sequence[float]
    losses: Sequence[float]
    smooth: Sequence[float]
    suggestion: float | None
    least: float | None


def tested(config: TrainConfig, lowest: float, highest: float, steps: int) -> Range:
    """Train a network of its own, from the same weights as a run of this configuration; it is thrown away.

    Raises:
        StopError: a signal came.
    """
    rising = Rising("rising", 0, lowest / highest)
    run = build(short(config, steps, rising, highest))
    noted = Steps(config)
    with suppress(LossError):  # the rate is too high by then, which is what the test is for
        fitted(run, noted)
    return read(noted.rates, noted.losses)


def short(config: TrainConfig, steps: int, schedule: Schedule, rate: float) -> TrainConfig:
    """A training that ends after so many steps, and hardly looks at val."""
    trainer = replace(
        config.trainer, epochs=steps, max_steps=steps, val_limit=config.data.batch_size, early_stopping=None
    )
    return replace(config, trainer=trainer, schedule=schedule, optim=replace(config.optim, lr=rate))


def read(rates: Sequence[float], losses: Sequence[float]) -> Range:
    """What losses at rising rates say."""
    finite = int(np.argmin(np.isfinite(losses))) if not np.isfinite(losses).all() else len(losses)
    rates, losses = list(rates[:finite]), list(losses[:finite])
    smooth, mean = [], 0.0
    for number, loss in enumerate(losses, 1):
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
        smooth.append(mean / (1 - SMOOTHING**number))
    first = max(1, round(FIRST * len(losses)))
    if len(losses) < first + 3:
        return Range(rates, losses, smooth, None, None)
    values = np.array(smooth)
    over = np.flatnonzero(values > DIVERGED * np.minimum.accumulate(values))
    end = int(over[0]) if len(over) else len(values)
    least = first + int(values[first:end].argmin())
    falls = values[first] - values[least] >= FALLS * abs(values[first])
    if not falls or least < first + 2:
        return Range(rates, losses, smooth, None, None)
    slopes = np.gradient(values[first : least + 1], np.log(rates[first : least + 1]))
    return Range(rates, losses, smooth, rates[first + int(slopes.argmin())], rates[least])


def drawn(found: Range, title: str) -> Figure:
    """Losses by rate."""
    figure = Figure(figsize=(6.4, 4), dpi=150, layout="constrained")
    axes = figure.subplots()
    axes.plot(found.rates, found.losses, color="#bbbbbb", linewidth=0.8, label="loss of a step")
    axes.plot(found.rates, found.smooth, color="#0072B2", linewidth=1.8, label="running mean")
    if found.suggestion is not None:
        axes.axvline(found.suggestion, color="#D55E00", linestyle="--", label=f"steepest: {found.suggestion:.2g}")
    if found.smooth:
        low, high = min(found.losses), max(found.smooth[0], min(found.smooth))
        axes.set_ylim(low - 0.05 * (high - low) - 1e-9, high + 0.3 * (high - low) + 1e-9)
    axes.set(xscale="log", xlabel="learning rate", ylabel="loss")
    axes.set_title(title, fontsize=10, parse_math=False)
    axes.legend(frameon=False)
    return figure
