"""The eleven checks, in the order in which one would look."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from cnntrain.study.diagnosis import architecture, gradients, images, outputs, steps, units
from cnntrain.study.diagnosis.subject import Finding, Subject

CHECKS: tuple[Callable[[Subject], Finding], ...] = (
    images.normalised,
    images.labels,
    outputs.initial_loss,
    outputs.last_activation,
    units.units,
    gradients.gradients,
    architecture.too_deep,
    steps.batch_size,
    steps.rate,
    steps.one_batch,
    architecture.regularised,
)


def findings(subject: Subject) -> Iterator[Finding]:
    """One a check."""
    return (check(subject) for check in CHECKS)
