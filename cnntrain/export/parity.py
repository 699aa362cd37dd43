"""Whether an exported network answers as the run's own does."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from cnntrain.core.errors import RunError
from cnntrain.data.base import DIMENSIONS
from cnntrain.data.sets.dataset import Labelled
from cnntrain.export.abreast import Beside
from cnntrain.tasks.base import Task


@dataclass(frozen=True)
class Proof:
    """Attributes:
    count, inputs: of the part, by which the metric is: so many images, signals or volumes.
    metric: of which column.
    ours, exported: its values, of the run's own network and of the exported one.
    changed: answers that are other ones, of so many that were `compared`.
    largest: difference of a number.
    answers, number: see `Difference`.
    """

    part: str
    count: int
    metric: str
    ours: float
    exported: float
    interval: list[float] | None
    changed: int
    largest: float
    compared: int
    answers: str
    number: str
    inputs: str


def proof(task: Task, samples: Labelled, before: Beside, after: Beside) -> Proof:
    """What the run's own network and the exported one answered to the same samples."""
    column, found = task.columns[0], after.judged
    return Proof(
        part=samples.name,
        count=len(samples.part),
        metric=column.name,
        ours=before.judged.metrics[column.name],
        exported=found.metrics[column.name],
        interval=task.intervals(found.metrics, found.answers).get(column.name),
        **asdict(after.difference),
        inputs=DIMENSIONS[samples.part.images[0].ndim - 1],
    )


def require(proof: Proof, task: Task, tolerance: float, by_metric: bool) -> None:
    """Raises RunError where the exported network does not answer as the run's own.

    Args:
        tolerance: of the difference of any number.
        by_metric: else of how much worse the metric is.
    """
    column = task.columns[0]
    worse = proof.ours - proof.exported if column.greater_is_better else proof.exported - proof.ours
    lost, what = (worse, f"loss of {column.words}") if by_metric else (proof.largest, f"difference of {proof.number}")
    if not lost <= tolerance:  # nor where it is no number
        raise RunError(
            f"the exported network does not answer as the run's own: {column.title} {column.text(proof.exported)}, and "
            f"{column.text(proof.ours)} before; {differing(proof)}. A {what} of {lost:.2g} is above tolerance="
            f"{tolerance:g}; nothing was written"
        )


def differing(proof: Proof) -> str:
    """In words."""
    return (
        f"{proof.changed:,} of {proof.compared:,} {proof.answers} changed, largest difference of {proof.number} "
        f"{proof.largest:.2g}"
    )


def line(proof: Proof, task: Task) -> str:
    """For people."""
    column: Any = task.columns[0]
    return (
        f"{proof.part}, {proof.count:,} {proof.inputs}: {column.title} {column.text(proof.exported)}, before "
        f"{column.text(proof.ours)}; {differing(proof)}"
    )
