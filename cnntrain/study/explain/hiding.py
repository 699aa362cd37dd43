"""What an answer loses when a part of the image is hidden."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import torch
from torch import Tensor

from cnntrain.core.errors import InputError
from cnntrain.study.explain.gradients import chosen
from cnntrain.study.explain.subject import Subject


def along(size: Sequence[int], length: int) -> list[int]:
    """What is `length` along the last side, along all sides: height and width are alike, of frames it is the same
    share."""
    return [max(1, round(length * each / size[-1])) for each in size]


def falls(subject: Subject, inputs: Tensor, targets: Tensor, window: Sequence[int], stride: Sequence[int]) -> Tensor:
    """By how much the class's logit falls when a window is zeros, which is the mean colour: [images, ...], of each
    pixel the mean over the windows that hide it.

    Args:
        window, stride: a number for each side.

    Raises:
        InputError: the window is larger than the image.
    """
    size = inputs.shape[2:]
    if window[-1] > size[-1]:
        shown = " x ".join(map(str, size))
        raise InputError(f"method.window={window[-1]}: the network sees {shown} {subject.units}: give less")
    total = torch.zeros(len(inputs), *size, dtype=torch.float64, device=inputs.device)
    times = torch.zeros(size, dtype=torch.float64, device=inputs.device)
    with torch.no_grad():
        before = chosen(subject.logits(inputs), targets)
        sides = [[*_windows(*each)] for each in zip(size, window, stride, strict=True)]
        for place in product(*sides):
            hidden = inputs.clone()
            hidden[(slice(None), slice(None), *place)] = 0
            fall = before - chosen(subject.logits(hidden), targets)
            total[:, *place] += fall.view(-1, *[1] * len(size))
            times[place] += 1
    return (total / times).to(inputs.dtype)


def _windows(size: int, window: int, stride: int) -> Iterator[slice]:
    """From one edge to the other; the last one may be cut off by it."""
    for number in range(-(-(size - window) // stride) + 1):
        yield slice(number * stride, min(number * stride + window, size))
