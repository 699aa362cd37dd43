"""What of an answer is explained: a number for each image and class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Protocol

import torch
from torch import Tensor


class Score(Protocol):
    """Made by `Task.score` of what a network gives for images. Where an answer has parts, that fixes those which count:
    of what the network gives for the same images with something hidden, added or taken away, the same ones do."""

    @property
    def nothing(self) -> str:
        """What the network does where it says nothing of a class, in words."""
        ...

    @property
    def answers(self) -> Tensor:
        """The class that ``target=predicted`` means, int64 [images]."""
        ...

    def logits(self, outputs: Any) -> Tensor:
        """The scores, [images, classes], with their gradient."""
        ...

    def probabilities(self, outputs: Any) -> Tensor:
        """float64 [images, classes], as people read them."""
        ...

    def there(self, targets: Tensor) -> Tensor:
        """Whether the network says anything of each image's class, bool [images].

        Args:
            targets: the position of a class for each image, int64 [images].
        """
        ...

    def facts(self, targets: Tensor) -> list[dict[str, Any]]:
        """Plain values on the parts that count, and what the score is, in words, where it is no logit."""
        ...

    def part(self, targets: Tensor, size: Sequence[int]) -> Tensor | None:
        """Where they are, bool [images, *size]; None: everywhere."""
        ...


class WholeScore:
    """Of one row of logits an image."""

    nothing = "gives it no logit"

    def __init__(self, logits: Any, probabilities: Callable[[Tensor], Tensor]):
        self.own, self._probabilities = logits, probabilities

    @cached_property
    def answers(self) -> Tensor:
        return self.probabilities(self.own).argmax(1)

    def logits(self, outputs: Any) -> Any:
        return outputs

    def probabilities(self, outputs: Any) -> Tensor:
        return self._probabilities(outputs)

    def there(self, targets: Tensor) -> Tensor:
        return torch.ones_like(targets, dtype=torch.bool)

    def facts(self, targets: Tensor) -> list[dict[str, Any]]:
        return [{} for _ in targets]

    def part(self, targets: Tensor, size: Sequence[int]) -> None:
        return None
