"""Many signals at once, each moved, scaled and under noise of its own."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Any

import torch
from torch import Tensor

from cnntrain.augment.batched.constants import constant
from cnntrain.core.draws import MOST, Draws


class Disturbed:
    """Args:
    shift: at most, as a fraction of the length.
    scale: change of the distance from the mean, at most.
    noise: its deviation, in deviations of the channel.
    mean, std: a number a channel.
    """

    def __init__(self, shift: float, scale: float, noise: float, mean: Sequence[float], std: Sequence[float]):
        self.shift = shift
        self.scale = scale
        self.noise = noise
        self.mean = (*mean,)
        self.std = (*std,)

    def __call__(self, images: Tensor, targets: Any, draws: Draws) -> tuple[Tensor, Any]:
        """Signals, float32 [samples, channels, length], to such."""
        move, size = 2 * draws.uniform("disturbed", 2) - 1
        mean, std = (constant(each, images.dtype, images.device)[:, None] for each in (self.mean, self.std))
        moved = _moved(images, (move * self.shift * images.shape[2]).round().long())
        scaled = (moved - mean) * (1 + size * self.scale).to(images.dtype)[:, None, None] + mean
        if not self.noise:
            return scaled, targets
        return scaled + self.noise * std * _normal(draws, images.shape).to(images.dtype), targets


def _moved(signals: Tensor, places: Tensor) -> Tensor:
    """Each to the right by its number of places."""
    length = signals.shape[2]
    origin = (torch.arange(length, device=signals.device) - places[:, None]).clamp(0, length - 1)
    return signals.gather(2, origin[:, None].expand_as(signals))


def _normal(draws: Draws, shape: Sequence[int]) -> Tensor:
    """Normally distributed numbers, float64 of a shape [samples, ...]."""
    count = torch.Size(shape[1:]).numel()
    blocks = [draws.uniform(f"noise_{start}", min(MOST, count - start)) for start in range(0, count, MOST)]
    uniform = torch.cat(blocks).T.reshape(shape).clamp(min=2.0**-53)
    return sqrt(2) * torch.erfinv(2 * uniform - 1)
