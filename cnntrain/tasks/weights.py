"""How much each class counts in the training loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from cnntrain.core.errors import ConfigError
from cnntrain.core.words import listed, normalised, printable, suggest


def class_weights(
    asked: Literal["auto"] | Mapping[str, Any] | None, labels: np.ndarray, classes: Sequence[str]
) -> list[float] | None:
    """One a class; None where all count alike.

    Args:
        asked: auto, or weights of some classes, those of the others being 1.
        labels: of the training images, int64 [n]; where an image has several, bool [n, classes].

    Raises:
        ConfigError: a class is asked for that there is not.
    """
    if asked is None:
        return None
    if asked == "auto":
        return (_balanced if labels.ndim == 1 else _odds)(labels, len(classes)).tolist()
    names = {normalised(name): number for number, name in enumerate(classes)}
    wanted = {normalised(str(name)): float(weight) for name, weight in asked.items()}
    if unknown := [name for name in wanted if name not in names]:
        raise ConfigError(
            f"trainer.class_weight: the data have no class {listed(unknown)}{suggest(unknown[0], names)}; "
            f"they have {listed(list(names), 20)}"
        )
    return [wanted.get(name, 1.0) for name in names]


def weight_notes(weights: Sequence[float] | None, classes: Sequence[str]) -> list[str]:
    """A line for the user on which classes count most and least, where they do not count alike."""
    if weights is None:
        return []
    order = sorted(range(len(weights)), key=lambda number: weights[number])
    least, most = (f"{weights[number]:.3g} ({printable(classes[number])})" for number in (order[0], order[-1]))
    return [f"in the training loss classes count from {least} to {most}"]


def _balanced(labels: np.ndarray, classes: int) -> np.ndarray:
    """The inverse of each class's frequency, over samples 1 in the mean; 1 for a class without any."""
    counts = np.bincount(labels, minlength=classes)
    present = counts > 0
    return np.where(present, len(labels) / (present.sum() * counts.clip(1)), 1.0)


def _odds(labels: np.ndarray, classes: int) -> np.ndarray:
    """By which a label is rarer than its absence; 1 for one that all samples have, or none."""
    counts = labels.sum(0)
    both = (counts > 0) & (counts < len(labels))
    return np.where(both, (len(labels) - counts) / counts.clip(1), 1.0)
