"""Batches whose images each go another way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from cnntrain.core.draws import Draws

Transform = Callable[[Tensor, Any, Draws], tuple[Tensor, Any]]


class InTurn:
    """One transform of a batch after the other.

    Attributes:
        alone: whether what becomes of an image is the same to the bit, whatever images are beside it and how many:
            neither products of matrices, whose order of summation a library chooses by their number, nor calls by
            number.
    """

    def __init__(self, steps: Sequence[Transform]):
        self.steps = steps
        self.alone = all(getattr(each, "alone", False) for each in steps)

    def __call__(self, images: Tensor, targets: Any, draws: Draws) -> tuple[Tensor, Any]:
        for each in self.steps:
            images, targets = each(images, targets, draws)
        return images, targets


def groups(numbers: Tensor, count: int, device: torch.device) -> Iterator[tuple[int, Tensor]]:
    """Each number that was drawn, with the samples that drew it, int64 [some] on the device.

    Args:
        numbers: int64 [samples], below `count`; on the CPU, so that no GPU is waited for.
    """
    order, start = numbers.argsort(stable=True).to(device, non_blocking=True), 0
    for number, size in enumerate(torch.bincount(numbers, minlength=count).tolist()):
        if size:
            yield number, order[start : start + size]
        start += size
