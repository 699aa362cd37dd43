"""The terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cnntrain.tasks.classify.metrics import means

if TYPE_CHECKING:
    from cnntrain.train.run import Run


class Screen:
    """The terminal, and the same lines in train.log; a bar only where the output is a terminal."""

    def __init__(self, log: Path | None):
        self.console = Console(soft_wrap=not sys.stdout.isatty(), highlight=False)
        self.file = open(log, "a", encoding="utf-8", buffering=1) if log is not None else None  # noqa: SIM115
        self.log = Console(file=self.file, width=160, highlight=False) if self.file is not None else None
        self.progress: Progress | None = None
        self.shown_at = 0.0

    def say(self, what: Any) -> None:
        for console in (self.console, self.log):
            if console is not None:
                console.print(what, markup=False)

    @contextmanager
    def bar(self, run: Run) -> Iterator[None]:
        if not self.console.is_terminal:
            yield
            return
        columns = ("[progress.description]{task.description}", "{task.fields[state]}")
        bar = (TextColumn(columns[0]), BarColumn(), MofNCompleteColumn(), TextColumn(columns[1]), TimeRemainingColumn())
        description = f"epoch {run.progress.epoch + 1}/{run.config.trainer.epochs}"
        with Progress(*bar, console=self.console, transient=True) as self.progress:
            steps, done = run.steps_per_epoch, run.progress.step_in_epoch
            self.task = self.progress.add_task(description, total=steps, completed=done, state="")
            yield
        self.progress = None

    def advance(self, run: Run) -> None:
        """Move the bar; reads the loss off the device only a few times a second."""
        if self.progress is None or time.monotonic() - self.shown_at < REFRESH_SECONDS:
            return
        self.shown_at = time.monotonic()
        loss = means(run.totals.sums.tolist())["loss"]
        rate = run.progress.images / run.progress.seconds if run.progress.seconds else 0
        state = f"loss {loss:.4f}  lr {run.rate():.3g}  {rate:,.0f} img/s"
        self.progress.update(self.task, completed=run.progress.step_in_epoch, state=state)

    def close(self) -> None:
        if self.file is not None:
            self.file.close()


REFRESH_SECONDS = 0.25
