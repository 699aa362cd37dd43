"""What an answer loses when a part of the image is hidden."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import torch
from torch import Tensor

from cnntrain.core.errors import InputError
from cnntrain.study.explain.gradients import chosen
from cnntrain.study.explain.subject import Subject


def falls(subject: Subject, inputs: Tensor, targets: Tensor, window: int, stride: int) -> Tensor:
    """By how much the class's logit falls when a window is zeros, which is the mean colour: [images, height, width], of
    each pixel the mean over the windows that hide it.

    Raises:
        InputError: the window is larger than the image.
    """
    height, width = inputs.shape[2:]
    if window > min(height, width):
        raise InputError(f"method.window={window}: the network sees {height} x {width} pixels: give less")
    total = torch.zeros(len(inputs), height, width, dtype=torch.float64, device=inputs.device)
    times = torch.zeros(height, width, dtype=torch.float64, device=inputs.device)
    with torch.no_grad():
        before = chosen(subject.logits(inputs), targets)
        for rows, columns in product(_windows(height, window, stride), _windows(width, window, stride)):
            hidden = inputs.clone()
            hidden[:, :, rows, columns] = 0
            fall = before - chosen(subject.logits(hidden), targets)
            total[:, rows, columns] += fall[:, None, None]
            times[rows, columns] += 1
    return (total / times).to(inputs.dtype)


def _windows(size: int, window: int, stride: int) -> Iterator[slice]:
    """From one edge to the other; the last one may be cut off by it."""
    for number in range(-(-(size - window) // stride) + 1):
        yield slice(number * stride, min(number * stride + window, size))
