"""What a run tells: one ``log(step, values)`` to every sink, and a screen for people.

On ranks other than the first a `Report` has no sinks, so callers need not ask who they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnntrain.core import dist
from cnntrain.runs.folder import METRICS
from cnntrain.runs.screen import Screen
from cnntrain.runs.sinks import JsonLines, Sink, TensorBoard

if TYPE_CHECKING:
    from torch import Tensor

    from cnntrain.train.run import Run

LOG = "train.log"


class Report:
    """The sinks of this rank and its screen (None where the rank shows nothing)."""

    def __init__(self, sinks: Sequence[Sink] = (), screen: Screen | None = None):
        self.sinks = list(sinks)
        self.screen = screen

    @classmethod
    def open(cls, folder: Path, step: int, epoch: int) -> Report:
        """The report of a run in `folder` that has done so many steps and whole epochs.

        What a killed run logged later is dropped: the resumed one logs it again.
        """
        if dist.rank() > 0:
            return cls()
        return cls([JsonLines(folder / METRICS, step, epoch), TensorBoard(folder / "tb", step)], Screen(folder / LOG))

    def log(self, step: int, values: Mapping[str, float]) -> None:
        for sink in self.sinks:
            sink.log(step, values)

    def say(self, what: Any) -> None:
        """Show a line or a table, and keep it in the log."""
        if self.screen is not None:
            self.screen.say(what)

    @contextmanager
    def epoch(self, run: Run) -> Iterator[None]:
        """Show live progress through an epoch, where somebody is looking."""
        with self.screen.bar(run) if self.screen is not None else nullcontext():
            yield

    def step_done(self, run: Run) -> None:
        every = run.config.trainer.log_every
        if every and run.progress.step % every == 0:
            metrics = run.totals.metrics()
            self.log(run.progress.step, {"train/loss": metrics["loss"], "lr": run.rate()})
        if self.screen is not None:
            self.screen.advance(run)

    def epoch_done(self, run: Run, values: Mapping[str, float], improved: bool, note: str | None) -> None:
        """Log an epoch's metrics and show them in one line."""
        progress = run.progress
        self.log(progress.step, {"epoch": progress.epoch, **values})
        rate = progress.images / progress.seconds if progress.seconds else 0
        self.say(
            f"epoch {progress.epoch:3d}/{run.config.trainer.epochs}"
            f"  train loss {values['train/loss']:.4f} top-1 {values['train/top1']:.2%}"
            f"  val {values['val/loss']:.4f} {values['val/top1']:.2%}"
            f"  lr {values['lr']:.3g}  {rate:,.0f} img/s{'  best' if improved else ''}"
        )
        if note:
            self.say(f"  {note}")

    def images(self, name: str, images: Tensor) -> None:
        """Log a grid of images [batch, channels, height, width] with values in [0, 1]."""
        for sink in self.sinks:
            if isinstance(sink, TensorBoard):
                sink.images(name, images)

    def hparams(self, settings: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
        for sink in self.sinks:
            if isinstance(sink, TensorBoard):
                sink.hparams(settings, metrics)

    def close(self) -> None:
        for sink in self.sinks:
            sink.close()
        if self.screen is not None:
            self.screen.close()
