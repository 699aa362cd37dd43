"""The loop. Everything that can vary is an object of the run; nothing here knows which."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import nn

from cnntrain.data.batches.samples import Batch
from cnntrain.tasks.classify.criterion import Criterion
from cnntrain.tasks.classify.metrics import Metrics, Totals
from cnntrain.train.run import Run

FINISHED, STOPPED = "finished", "stopped"


def fit(run: Run) -> str:
    """Train from where the run stands to its end; returns how it ended: finished, or stopped by a signal."""
    while not run.done:
        train = train_epoch(run)
        if train is None:
            run.save()
            return STOPPED
        val = evaluate(run.eval_network, run.val_batches(), run.precision)
        run.end_epoch(train, val)
    run.save()
    return FINISHED


def train_epoch(run: Run) -> Metrics | None:
    """Train through the rest of an epoch; returns its metrics, or None where a signal stopped it."""
    if not run.begin_epoch():
        return None
    with run.report.epoch(run):
        for images, labels in run.train_batches():
            with run.precision:
                loss, logits = run.criterion(run.network(images), labels)
            run.totals.add(loss.detach(), logits, labels)
            if run.step(loss):
                run.report.step_done(run)
                run.save_if_due()
                if run.stop_requested():
                    return None
    run.share_buffers()
    return run.totals.metrics()


@torch.inference_mode()
def evaluate(model: nn.Module, batches: Iterable[Batch], precision: AbstractContextManager[Any]) -> Metrics:
    """Metrics over exactly the samples of `batches`, over all ranks: ``loss``, ``top1``, ``top5``, ``count``."""
    model.eval()
    totals = Totals(next(model.parameters()).device)
    criterion = Criterion()
    for images, labels in batches:
        with precision:
            loss, logits = criterion(model(images), labels)
        totals.add(loss, logits, labels)
    return totals.metrics()
