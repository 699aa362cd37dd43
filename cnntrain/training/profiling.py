"""Where the time of some steps goes, by torch's profiler."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from rich.table import Table
from torch.profiler import ProfilerActivity, profile, schedule

from cnntrain.data.batches.feed import Batch

TRACE = "trace.json"
ACTIVE, WARM_UP = 3, 8  # batches: those that are recorded, and at most so many before them
SHOWN = 8  # operations in the table


class Profiler:
    """Records a few batches of the first epoch that it sees, into a file for ``chrome://tracing`` or Perfetto.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: Path, say: Callable[[Any], None]):
        os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # else it writes of itself, and of a GPU that is not there
        self.path = folder / TRACE
        self.say = say
        self._is_done = False

    def __call__(self, batches: Iterator[Batch], count: int) -> Iterator[Batch]:
        """The same batches, `count` of them."""
        if self._is_done or count < 2:
            yield from batches
            return
        self._is_done = True
        before = min(WARM_UP, max(1, count - ACTIVE))
        on_gpu = [ProfilerActivity.CUDA] if torch.cuda.is_available() else []
        plan = schedule(wait=0, warmup=before, active=ACTIVE, repeat=1)
        with profile(activities=[ProfilerActivity.CPU, *on_gpu], schedule=plan, on_trace_ready=self._keep) as recorder:
            for batch in batches:
                yield batch
                recorder.step()

    def _keep(self, recorder: profile) -> None:
        recorder.export_chrome_trace(str(self.path))
        events = recorder.key_averages()
        by = "self_device_time_total" if torch.cuda.is_available() else "self_cpu_time_total"
        total = sum(getattr(each, by) for each in events)
        table = Table(
            title=f"the costliest operations of a few batches; all of them in {self.path}", title_justify="left"
        )
        for name in ("operation", "calls", "ms", "share"):
            table.add_column(name, justify="left" if name == "operation" else "right")
        for each in sorted(events, key=lambda each: -getattr(each, by))[:SHOWN]:
            took = getattr(each, by)
            table.add_row(each.key, f"{each.count:,}", f"{took / 1000:.1f}", f"{took / total:.0%}")
        self.say(table)
