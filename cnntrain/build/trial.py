"""A training whose weights nobody keeps: only how good it became counts."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cnntrain.build.run import build
from cnntrain.config.schema import TrainConfig, Trainer
from cnntrain.core import seeds, signals
from cnntrain.core.errors import LossError, StopError
from cnntrain.models import auxiliary
from cnntrain.runs.report import Report
from cnntrain.training import loop
from cnntrain.training.precision import arithmetic
from cnntrain.training.run import Run
from cnntrain.training.saver import Saver


@contextmanager
def in_this_process(trainer: Trainer) -> Iterator[None]:
    """Within the block trainings compute as is asked for, and end by a signal; afterwards the process is as before."""
    with arithmetic(trainer.deterministic, trainer.tf32), seeds.generators_kept(), signals.handled():
        yield


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


def tried(config: TrainConfig) -> dict[str, Any]:
    """What came of a training, as plain values: ``value``, the best epoch's ``checkpoint.metric`` (None where there is
    none), ``params``, ``macs``, ``epochs``, ``seconds``, and where a loss was no number ``failed``, which says so.

    Raises:
        StopError: a signal came.
    """
    start, value, failed = time.monotonic(), None, {}
    run = build(config)
    params = sum(each.numel() for each in auxiliary.main_parameters(run.state.model))
    try:
        best = fitted(run).state.progress.best
        value = None if best is None else best[str(config.checkpoint.metric)]
    except LossError as error:
        failed = {"failed": str(error)}
    epochs, seconds = run.state.progress.epoch, time.monotonic() - start
    return {"value": value, "params": params, "macs": run.macs, "epochs": epochs, "seconds": seconds, **failed}
