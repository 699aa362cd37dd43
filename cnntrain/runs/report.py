"""What a run tells: numbers to every sink, and lines to a screen for people. Plain values in, no agreement of ranks.

On ranks other than the first a `Report` has no sinks and no screen, so callers need not ask who they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cnntrain.core import dist
from cnntrain.runs.folder import METRICS
from cnntrain.runs.screen import Screen
from cnntrain.runs.sinks import JsonLines, Sink
from cnntrain.runs.trackers import base as trackers
from cnntrain.runs.trackers.base import Log
from cnntrain.tasks.base import LOSS, Column

if TYPE_CHECKING:
    from torch import Tensor

LOG = "train.log"


@dataclass(frozen=True)
class Moment:
    """Where a run stands: epochs and steps that are done, of how many, and the rates of its last step and epoch."""

    epoch: int
    epochs: int
    step_in_epoch: int
    steps_per_epoch: int
    lr: float
    images_per_second: float


class Report:
    """The sinks of this rank and its screen (None where the rank shows nothing)."""

    def __init__(self, columns: Sequence[Column], sinks: Sequence[Sink] = (), screen: Screen | None = None):
        self.columns = columns
        self.sinks = list(sinks)
        self.screen = screen

    @classmethod
    def open(cls, log: Log, columns: Sequence[Column], names: Sequence[str]) -> Report:
        """The report of a run to its metrics.jsonl and to the trackers of these names.

        What a killed run logged later is dropped: the resumed one logs it again.
        """
        if dist.rank() > 0:
            return cls(columns)
        lines = JsonLines(log.folder / METRICS, log.step, log.epoch)
        report = cls(columns, [lines], Screen(log.folder / LOG))
        report.sinks += trackers.sinks(names, log, report.say)
        for each in lines.unread:
            report.say(f"note: a line of {METRICS} cannot be read and is left out: {each}")
        return report

    def log(self, step: int, values: Mapping[str, float]) -> None:
        for sink in self.sinks:
            sink.log(step, values)

    def layers(self, step: int, scalars: Mapping[str, float], histograms: Mapping[str, Tensor]) -> None:
        """What was seen of each layer, by ``<what>/<layer>``."""
        for sink in self.sinks:
            sink.layers(step, scalars, histograms)

    def say(self, what: Any) -> None:
        """Show a line or a table, and keep it in the log."""
        if self.screen is not None:
            self.screen.say(what)

    def note(self, line: str) -> None:
        """Keep in the log what the screen has shown already."""
        if self.screen is not None:
            self.screen.note(line)

    @contextmanager
    def epoch(self, now: Moment) -> Iterator[None]:
        """Show live progress through an epoch, where somebody is looking."""
        description = f"epoch {now.epoch + 1}/{now.epochs}"
        if self.screen is None:
            yield
            return
        with self.screen.bar(description, now.steps_per_epoch, now.step_in_epoch):
            yield

    def step_done(self, now: Moment, loss: Callable[[], float]) -> None:
        """Show where the run stands; `loss` reads it off the device, only a few times a second."""
        if self.screen is not None and self.screen.is_due():
            state = f"loss {loss():.4f}  lr {now.lr:.3g}  {now.images_per_second:,.0f} img/s"
            self.screen.advance(now.step_in_epoch, state)

    def epoch_done(self, step: int, now: Moment, values: Mapping[str, float], improved: bool, note: str | None) -> None:
        """Log an epoch's metrics and show them in one line: the losses, and the column that people look at first."""
        self.log(step, {"epoch": now.epoch, **values})
        shown = [each for each in self.columns if each.name in (LOSS, self.columns[0].name)][::-1]
        train = " ".join(
            f"{each.title} {each.text(values[f'train/{each.name}'])}" for each in shown if each.in_training
        )
        of_val = ((each, each.text(values[f"val/{each.name}"])) for each in shown)
        val = " ".join(text if each.in_training else f"{each.title} {text}" for each, text in of_val)
        self.say(
            f"epoch {now.epoch:3d}/{now.epochs}  train {train}  val {val}  lr {now.lr:.3g}"
            f"  {now.images_per_second:,.0f} img/s{'  best' if improved else ''}"
        )
        if note:
            self.say(f"  {note}")

    def images(self, name: str, images: Tensor) -> None:
        """Log a grid of images [batch, channels, height, width] with values in [0, 1]."""
        for sink in self.sinks:
            sink.images(name, images)

    def hparams(self, settings: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
        for sink in self.sinks:
            sink.hparams(settings, metrics)

    def close(self) -> None:
        with ExitStack() as stack:  # each is closed, whatever the others raise
            if self.screen is not None:
                stack.callback(self.screen.close)
            for each in self.sinks:
                stack.callback(each.close)
