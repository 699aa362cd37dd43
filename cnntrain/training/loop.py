"""The loop. Everything that can vary is an object of the run; nothing here knows which."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import nn

from cnntrain.core.errors import RunError, StopError
from cnntrain.data.batches.feed import Batch
from cnntrain.runs.report import Report
from cnntrain.tasks.base import Metrics, Objective
from cnntrain.training.run import Run
from cnntrain.training.saver import Saver
from cnntrain.transfer.frozen.phase import Phase

FINISHED, STOPPED = "finished", "stopped"


def fit(run: Run, report: Report, saver: Saver) -> str:
    """Train from where the run stands to its end; returns how it ended: finished, or stopped by a signal."""
    try:
        try:
            while not run.ended:
                phase = run.begin_epoch(report, saver)
                train = train_epoch(run, phase, report, saver)
                batches = phase.val.batches(run.loaders.eval_plan("val"))
                val = evaluate(phase.eval_network, batches, run.objective, run.precision, run.heed)
                run.end_epoch(train, val, report, saver)
        except StopError:
            saver.write(run.tally.sums(run.moment()))
            return STOPPED
        saver.write(None)
        return FINISHED
    except RunError:
        saver.fail()
        raise
    finally:
        saver.close()


def train_epoch(run: Run, phase: Phase, report: Report, saver: Saver) -> Metrics:
    """Train through the rest of an epoch; returns its metrics."""
    with report.epoch(run.moment()):
        for batch in run.train_batches(phase):
            with run.precision:
                loss, judged = run.objective.loss(phase.network(batch.inputs), batch.targets)
            run.tally.add(loss.detach(), judged, batch.targets)
            if run.step(loss):
                run.step_done(report, saver)
    run.state.share_buffers()
    return run.tally.totals.metrics()


@torch.inference_mode()
def evaluate(
    network: nn.Module,
    batches: Iterable[Batch],
    objective: Objective,
    precision: AbstractContextManager[Any],
    heed: Callable[[], None],
    witness: Callable[[Any, Any], None] = lambda judged, targets: None,
) -> Metrics:
    """Metrics over exactly the samples of `batches`, over all ranks.

    Args:
        witness: sees of each batch what is judged and its targets.

    Raises:
        StopError: a signal came.
    """
    network.eval()
    totals = objective.judged(next(network.parameters(), torch.empty(0)).device)
    for batch in batches:
        if batch.count:
            with precision:
                loss, judged = objective.plain_loss(network(batch.inputs), batch.targets)
            totals.add(loss, judged, batch.targets)
            witness(judged, batch.targets)
        heed()
    return totals.metrics()
