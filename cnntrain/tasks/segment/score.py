"""What of a mask is explained (Seg-Grad-CAM, Vinogradova et al. 2020, arXiv:2002.11434)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from cnntrain.tasks.auxiliary import Outputs, main

SCORE = "the sum of the class's logits over the pixels that the network gives it"


class PixelScore:
    """Of each class over the pixels that the network gives it.

    Args:
        outputs: logits [images, classes, height, width].
    """

    nothing = "gives it no pixel"

    def __init__(self, outputs: Outputs):
        logits = main(outputs).detach()
        self.given = torch.zeros_like(logits, dtype=torch.bool).scatter_(1, logits.argmax(1, keepdim=True), True)
        self.counts = self.given.flatten(2).sum(2)

    @cached_property
    def answers(self) -> Tensor:
        """That with the most pixels but for the first one, the background; that one where there is no other."""
        other = self.counts.clone()
        other[:, 0] = 0
        return other.argmax(1)  # of classes without any the first

    def logits(self, outputs: Outputs) -> Tensor:
        return (main(outputs) * self.given).sum((2, 3))

    def probabilities(self, outputs: Outputs) -> Tensor:
        """The mean over the pixels; of a class without any 0."""
        each = main(outputs).double().softmax(1) * self.given
        return each.sum((2, 3)) / self.counts.clamp(min=1)

    def there(self, targets: Tensor) -> Tensor:
        return self._own(self.counts, targets) > 0

    def facts(self, targets: Tensor) -> list[dict[str, Any]]:
        return [{"score_is": SCORE, "pixels": each} for each in self._own(self.counts, targets).tolist()]

    def part(self, targets: Tensor, size: Sequence[int]) -> Tensor:
        return self._own(self.given, targets)

    def _own(self, values: Tensor, targets: Tensor) -> Tensor:
        return values[torch.arange(len(targets), device=targets.device), targets]
