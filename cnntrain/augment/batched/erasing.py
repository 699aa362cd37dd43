"""Random erasing: a rectangle of the image is hidden."""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from typing import Any

import torch
from torch import Tensor

from cnntrain.augment.batched.constants import constant
from cnntrain.core.draws import Draws

AREA = (0.02, 0.4)  # of the image's
RATIO = (0.3, 1 / 0.3)  # of height to width
TRIES = 10


class RandomErasing:
    """Zhong et al. 2017 (arXiv:1708.04896), with the paper's ranges of area and shape, in the mean's colour (RE-M).

    Args:
        fill: of each channel, from 0 to 1; of one number all channels.
        white: the images' greatest value.
    """

    alone = True

    def __init__(self, probability: float, fill: Sequence[float], white: int = 255):
        self.probability = probability
        self.fill = (*(round(white * each) for each in fill),)

    def __call__(self, images: Tensor, targets: Any, draws: Draws) -> tuple[Tensor, Any]:
        height, width = images.shape[2:]
        top, left, high, wide = rectangles(height, width, self.probability, draws)[..., None]
        row, column = (torch.arange(side, device=images.device) for side in (height, width))
        rows, columns = (row >= top) & (row < top + high), (column >= left) & (column < left + wide)
        fill = constant(self.fill, images.dtype, images.device)[: images.shape[1]].view(-1, 1, 1)
        return torch.where(rows[:, None, :, None] & columns[:, None, None, :], fill, images), targets


def rectangles(height: int, width: int, probability: float, draws: Draws) -> Tensor:
    """int64 [4, images]: top, left, height and width of what is hidden, 0 high where nothing is.

    Area and shape are drawn until they fit; where none does, nothing is hidden.
    """
    numbers = draws.uniform("erasing", 2 * TRIES + 3)
    areas, ratios, (chance, down, across) = numbers[:TRIES], numbers[TRIES : 2 * TRIES], numbers[2 * TRIES :]
    area = height * width * (AREA[0] + (AREA[1] - AREA[0]) * areas)
    ratio = (log(RATIO[0]) + (log(RATIO[1]) - log(RATIO[0])) * ratios).exp()
    highs, wides = (area * ratio).sqrt().round(), (area / ratio).sqrt().round()
    fits = (highs < height) & (wides < width)
    first = fits.byte().argmax(0, keepdim=True)
    high, wide = highs.gather(0, first)[0], wides.gather(0, first)[0]
    high = torch.where(fits.any(0) & (chance < probability), high, 0)
    top, left = (down * (height - high + 1)).floor(), (across * (width - wide + 1)).floor()
    return torch.stack([top, left, high, wide]).long()
