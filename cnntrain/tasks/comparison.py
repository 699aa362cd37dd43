"""Two networks' answers to the same samples, held against each other a batch at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor


@dataclass(frozen=True)
class Difference:
    """How far the answers of two networks are apart.

    Attributes:
        changed: answers that are other ones, of so many that were `compared`.
        largest: difference of a number; nan where one is none.
        answers, number: in words, what was compared, and of what the difference is.
    """

    changed: int
    compared: int
    largest: float
    answers: str
    number: str


class Comparison(Protocol):
    def add(self, one: Any, other: Any) -> None:
        """What is judged of both networks' outputs for a batch."""
        ...

    def difference(self) -> Difference:
        """Of all batches."""
        ...


class OfProbabilities:
    """Logits by their most probable class, and by the probability of each.

    Args:
        probabilities: of logits, float64.
        classes: the dimension that they stand in.
        answers: what has a class, in words.
    """

    def __init__(self, probabilities: Callable[[Tensor], Tensor], classes: int = -1, answers: str = "answers"):
        self._probabilities = probabilities
        self._classes = classes
        self._answers = answers
        self._changed = self._compared = 0
        self._largest = torch.zeros((), dtype=torch.float64)

    def add(self, one: Tensor, other: Tensor) -> None:
        first, second = (self._probabilities(each.double()) for each in (one, other))
        differ = first.argmax(self._classes) != second.argmax(self._classes)
        self._changed += int(differ.sum())
        self._compared += differ.numel()
        self._largest = torch.maximum(self._largest, (first - second).abs().max().cpu())  # which keeps nan

    def difference(self) -> Difference:
        return Difference(self._changed, self._compared, float(self._largest), self._answers, "a probability")
