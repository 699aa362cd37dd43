"""Whether losses and weights are numbers still, and whether anything is learned."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite, log
from pathlib import Path

from torch import nn

from cnntrain.core.errors import LossError
from cnntrain.data.sets.dataset import DataSet
from cnntrain.runs.closing import is_no_better
from cnntrain.runs.report import Moment
from cnntrain.tasks.base import LOSS, Task

LOSSES = {"train/loss": "training", "val/loss": "validation"}
EARLY = 3  # epochs after which a run that learns shows it


def is_sound(values: Mapping[str, float]) -> bool:
    """Whether the losses among an epoch's metrics are numbers."""
    return all(isfinite(values[each]) for each in LOSSES)


def require_sound(values: Mapping[str, float], now: Moment) -> None:
    """Raises LossError where a loss among an epoch's metrics is nan or infinite."""
    for name, words in LOSSES.items():
        if not isfinite(values[name]):
            raise LossError(
                f"the {words} loss is {values[name]} after epoch {now.epoch}: lower optim.lr, which was {now.lr:g}"
            )


def nothing_learned(task: Task, data: DataSet, values: Mapping[str, float], folder: Path) -> str | None:
    """A line where an epoch's metrics, of training and of validation, are those of always giving the most frequent
    class, as far as the images can tell; None where they are better, or images have several labels.

    Args:
        folder: of the run.
    """
    if data.train.labels.ndim != 1:
        return None
    column, reached = task.columns[0], []
    for name, part in (("train", data.train), ("val", data.val)):
        majority, value = task.majority(part.labels), values.get(f"{name}/{column.name}")
        if majority is None or value is None or not is_no_better(value, majority, len(part)):
            return None
        reached.append(
            f"{column.text(value)} in {LOSSES[f'{name}/{LOSS}']} (always the most frequent: {column.text(majority)})"
        )
    classes, loss = len(data.classes), values[f"train/{LOSS}"]
    return (
        f"note: nothing is learned yet: {column.title} is {' and '.join(reached)}, the training loss {loss:.4f}, "
        f"ln({classes}) = {log(classes):.4f}; cnntrain diagnose run={folder} looks for the cause"
    )


def has_sound_weights(model: nn.Module) -> bool:
    """Whether all weights are numbers, but for those of modules that `may_diverge`: settings side by side, say, of
    which one that does leaves the others as they are.
    """
    apart = {
        each for module in model.modules() if getattr(module, "may_diverge", False) for each in module.parameters()
    }
    # a sum of numbers is one, unless they are huge, and takes a tenth of the time
    return all(
        bool(each.sum().isfinite()) or bool(each.isfinite().all()) for each in model.parameters() if each not in apart
    )
