"""Random colours: brightness, contrast, saturation and hue; and greys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from cnntrain.augment.batched import colour
from cnntrain.augment.batched.choice import groups
from cnntrain.core.draws import Draws

OPERATIONS = (colour.brightness, colour.contrast, colour.saturation, colour.hue)


class ColourJitter:
    """The four operations, for each image in an order of its own (Howard 2013, arXiv:1312.5402, and torchvision).

    Args:
        ranges: brightness, contrast and saturation, each multiplied by 1 +- at most so much, by no less than 0; hue,
            turned by at most so much of the circle to either side.
    """

    def __init__(self, ranges: Sequence[float]):
        self.ranges = ranges

    def __call__(self, images: Tensor, targets: Any, draws: Draws) -> tuple[Tensor, Any]:
        numbers = draws.here.uniform("colour_jitter", 8)
        orders = numbers[:4].argsort(0)
        amounts = jittered(self.ranges, numbers[4:]).to(images.device, non_blocking=True)
        images = images.clone()
        for turn in orders:
            for number, rows in groups(turn, 4, images.device):
                if self.ranges[number]:
                    images[rows] = OPERATIONS[number](images[rows], amounts[number][rows])
        return images, targets


def jittered(ranges: Sequence[float], numbers: Tensor) -> Tensor:
    """Three factors and a turn, float64 [4, images], of uniform numbers [4, images]."""
    most = torch.tensor(ranges, dtype=torch.float64)[:, None]
    least = torch.cat([(1 - most[:3]).clamp(min=0), -most[3:]])
    return least + (torch.cat([1 + most[:3], most[3:]]) - least) * numbers


class Greyscale:
    """A colour image's greys, with a probability."""

    alone = True

    def __init__(self, probability: float):
        self.probability = probability

    def __call__(self, images: Tensor, targets: Any, draws: Draws) -> tuple[Tensor, Any]:
        if images.shape[1] == 1:
            return images, targets
        chosen = draws.uniform("greyscale", 1)[0] < self.probability
        return torch.where(chosen.view(-1, 1, 1, 1), colour.luma(images), images), targets
