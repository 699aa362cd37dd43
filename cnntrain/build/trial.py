"""A training whose weights nobody keeps: only how good it became counts."""

from __future__ import annotations

import tempfile
from pathlib import Path

from cnntrain.core.errors import StopError
from cnntrain.runs.report import Report
from cnntrain.training import loop
from cnntrain.training.run import Run
from cnntrain.training.saver import Saver


def fitted(run: Run, report: Report | None = None) -> Run:
    """The run, trained to its end by the loop of every run. It has a folder only until then, and test is not looked at.

    Args:
        report: hears of each step; None: nobody does.

    Raises:
        RunError: a loss was no number.
        StopError: a signal came.
    """
    config = run.config
    with tempfile.TemporaryDirectory() as place:
        saver = Saver(Path(place), run.state, config.checkpoint.time_share, 1)
        if loop.fit(run, report or Report(config.task.columns), saver) == loop.STOPPED:
            raise StopError
    return run
