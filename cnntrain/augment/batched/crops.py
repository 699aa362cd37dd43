"""Crops of random size and shape, resized to what the network sees."""

from __future__ import annotations

from math import log, sqrt
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2 import functional

from cnntrain.core.draws import Draws
from cnntrain.core.rounding import rounded

RATIOS = (3 / 4, 4 / 3)  # of width to height
TRIES = 10


class ResizedCrop:
    """A crop of one image of any size: its area and its shape are drawn until it fits, as torchvision does.

    Args:
        least: pixels of the shorter side that images are decoded with; None: all.
    """

    def __init__(self, size: int, min_area: float, interpolation: str, least: int | None = None):
        self.least = least
        self.size = [size, size]
        self.min_area = min_area
        self.how = InterpolationMode(interpolation)

    def __call__(self, image: Any, target: Any, draws: Draws) -> tuple[Any, Any]:
        height, width = functional.get_size(image)
        sides = torch.tensor([[height], [width]])
        box = [int(each) for each in boxes(sides, self.min_area, draws)]
        if image.dtype != torch.uint16:
            return _CropTo(box, self.size, self.how)(image, target)
        crop, target = _CropTo(box, self.size, self.how)(image.float(), target)
        return rounded(crop, image.dtype), target


def smallest(min_area: float) -> float:
    """The shorter side of a crop, of the shorter side of its image, at least."""
    return sqrt(min_area * RATIOS[0])


class _CropTo(v2.Transform):
    def __init__(self, box: list[int], size: list[int], how: InterpolationMode):
        super().__init__()
        self.box, self.size, self.how = box, size, how

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        sizes = {"size": self.size, "interpolation": self.how, "antialias": True}
        return self._call_kernel(functional.resized_crop, inpt, *self.box, **sizes)


def boxes(sides: Tensor, min_area: float, draws: Draws) -> Tensor:
    """int64 [4, images]: top, left, height and width of a crop of each.

    Args:
        sides: int64 [2, images], heights and widths.
        min_area: as a fraction of the image's; at most it is all of it.
    """
    numbers = draws.uniform("resized_crop", 2 * TRIES + 2)
    areas, ratios, (down, across) = numbers[:TRIES], numbers[TRIES : 2 * TRIES], numbers[2 * TRIES :]
    high, wide = sides.double()
    area = high * wide * (min_area + (1 - min_area) * areas)
    ratio = (log(RATIOS[0]) + (log(RATIOS[1]) - log(RATIOS[0])) * ratios).exp()
    widths, heights = (area * ratio).sqrt().round(), (area / ratio).sqrt().round()
    fits = (widths > 0) & (widths <= wide) & (heights > 0) & (heights <= high)
    first = fits.byte().argmax(0, keepdim=True)
    some = fits.any(0)
    width = torch.where(some, widths.gather(0, first)[0], wide.clamp(max=(high * RATIOS[1]).round()))
    height = torch.where(some, heights.gather(0, first)[0], high.clamp(max=(wide / RATIOS[0]).round()))
    # where none fits it is the middle
    top = torch.where(some, (down * (high - height + 1)).floor(), ((high - height) / 2).floor())
    left = torch.where(some, (across * (wide - width + 1)).floor(), ((wide - width) / 2).floor())
    return torch.stack([top, left, height, width]).long()
