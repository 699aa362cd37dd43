"""The terminal, and the same lines in a run's log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cnntrain.core import files
from cnntrain.core.console import console

REFRESH_SECONDS = 0.25


class Screen:
    """The terminal, and the same lines in train.log; a bar only where the output is a terminal."""

    def __init__(self, log: Path | None, clock: Callable[[], float] = time.monotonic):
        self.console = console(soft_wrap=not sys.stdout.isatty())
        self.path = log
        self.file = open(log, "a", encoding="utf-8", buffering=1) if log is not None else None  # noqa: SIM115
        self.log = console(file=self.file, soft_wrap=True) if self.file is not None else None
        self.clock = clock
        self.progress: Progress | None = None
        self.shown_at = 0.0  # by the clock

    def say(self, what: Any) -> None:
        """Show a line, which may hold anything and stays one line, or a table."""
        self.console.print(what)
        self.note(what)

    def note(self, what: Any) -> None:
        """A line, with the time, or a table in the log alone."""
        if self.log is not None and self.path is not None:
            line = f"{datetime.now():%Y-%m-%d %H:%M:%S}  {what}" if isinstance(what, str) else what
            with files.writing(self.path):
                self.log.print(line, soft_wrap=isinstance(what, str))

    @contextmanager
    def bar(self, description: str, steps: int, done: int) -> Iterator[None]:
        if not self.console.is_terminal:
            yield
            return
        left, right = TextColumn("{task.description}"), TextColumn("{task.fields[state]}")
        columns = (left, BarColumn(), MofNCompleteColumn(), right, TimeRemainingColumn())
        with Progress(*columns, console=self.console, transient=True) as self.progress:
            self.task = self.progress.add_task(description, total=steps, completed=done, state="")
            yield
        self.progress = None

    def is_due(self) -> bool:
        """Whether the bar should move: a few times a second."""
        return self.progress is not None and self.clock() - self.shown_at >= REFRESH_SECONDS

    def advance(self, done: int, state: str) -> None:
        """Move the bar to so many steps, with a word beside it."""
        assert self.progress is not None, "ask is_due first"
        self.shown_at = self.clock()
        self.progress.update(self.task, completed=done, state=state)

    def close(self) -> None:
        if self.file is not None and self.path is not None:
            with files.writing(self.path):
                self.file.close()
