"""Whether an exported network answers as the run's own does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from cnntrain.build.judging import Judged
from cnntrain.core.errors import RunError
from cnntrain.data.sets.dataset import Labelled
from cnntrain.tasks.base import Task, intervals


@dataclass(frozen=True)
class Proof:
    """Attributes:
    metric: of which column.
    ours, exported: its values, of the run's own network and of the exported one.
    changed: images of which the exported network's most probable class is another one.
    largest: difference of a probability.
    """

    part: str
    count: int
    metric: str
    ours: float
    exported: float
    interval: list[float] | None
    changed: int
    largest: float


def compared(task: Task, images: Labelled, before: Judged, after: Judged, temperature: float | None) -> Proof:
    """What the run's own network and the exported one answered to the same images."""
    column = task.columns[0]
    first, second = (_probabilities(task, each, temperature or 1.0) for each in (before, after))
    return Proof(
        part=images.name,
        count=len(images.part),
        metric=column.name,
        ours=before.metrics[column.name],
        exported=after.metrics[column.name],
        interval=intervals(task.columns, after.metrics).get(column.name),
        changed=int((first.argmax(1) != second.argmax(1)).sum()),
        largest=float(np.abs(first - second).max()),
    )


def _probabilities(task: Task, judged: Judged, temperature: float) -> np.ndarray:
    assert judged.predictions is not None, "one process judges"
    logits = torch.from_numpy(np.asarray(judged.predictions.logits, dtype=np.float64))
    return task.probabilities(logits / temperature).numpy()


def require(proof: Proof, task: Task, tolerance: float, by_metric: bool) -> None:
    """Raises RunError where the exported network does not answer as the run's own.

    Args:
        tolerance: of the difference of any probability.
        by_metric: else of how much worse the metric is.
    """
    column = task.columns[0]
    worse = proof.ours - proof.exported if column.greater_is_better else proof.exported - proof.ours
    lost, what = (worse, f"loss of {column.words}") if by_metric else (proof.largest, "difference of a probability")
    if not lost <= tolerance:  # nor where it is no number
        raise RunError(
            f"the exported network does not answer as the run's own: {column.title} {column.text(proof.exported)}, and "
            f"{column.text(proof.ours)} before; largest difference of a probability {proof.largest:.2g}, "
            f"{proof.changed} of {proof.count:,} answers changed. A {what} of {lost:.2g} is above tolerance="
            f"{tolerance:g}; nothing was written"
        )


def line(proof: Proof, task: Task) -> str:
    """For people."""
    column: Any = task.columns[0]
    return (
        f"{proof.part}, {proof.count:,} images: {column.title} {column.text(proof.exported)}, before "
        f"{column.text(proof.ours)}; {proof.changed} answers changed; largest difference of a probability "
        f"{proof.largest:.2g}"
    )
