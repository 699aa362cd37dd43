"""Crops of random size and shape of images that were all brought to one size: two products of matrices a batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from cnntrain.augment.batched.crops import boxes
from cnntrain.core.draws import Draws


def _triangle(distance: Tensor) -> Tensor:
    return (1 - distance.abs()).clamp(min=0)


def _cubic(distance: Tensor) -> Tensor:
    """Keys 1981 (doi:10.1109/TASSP.1981.1163711) with a = -0.5, as Pillow has it."""
    x = distance.abs()
    near, far = (1.5 * x - 2.5) * x * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x < 1, near, torch.where(x < 2, far, 0))


@dataclass(frozen=True)
class Kernel:
    """A pixel's weight by its distance, which is 0 from `reach` on.

    Attributes:
        overshoots: whether weights can be negative, and so what comes out brighter than white.
    """

    weight: Callable[[Tensor], Tensor]
    reach: int
    overshoots: bool


FILTERS = {"bilinear": Kernel(_triangle, 1, False), "bicubic": Kernel(_cubic, 2, True)}


class PackedCrop:
    """The crops that `crops.ResizedCrop` draws, in the coordinates of the images as they were, taken of the packed.

    Args:
        size: pixels a side of what comes out.
        interpolation: a key of `FILTERS`; antialiased.
    """

    def __init__(self, size: int, min_area: float, interpolation: str):
        self.size = size
        self.min_area = min_area
        self.kernel = FILTERS[interpolation]

    def __call__(self, images: Tensor, sizes: Tensor, draws: Draws) -> Tensor:
        """uint8 [images, channels, side, side] to uint8 of the size, in channels_last; or int32, of values of 16 bits.

        Args:
            sizes: [images, 2], on the CPU, heights and widths that they had.
        """
        count, channels, side, _ = images.shape
        sides = sizes.T.long()
        # on the CPU: to ask a GPU for as many operations on so few numbers takes longer
        box = boxes(sides, self.min_area, draws.here).double().view(2, 2, count) * (side / sides.double())
        start, length = box.view(2, 2 * count).to(images.device, non_blocking=True)
        white, exact = (255, torch.float32) if images.dtype == torch.uint8 else (65535, torch.float64)
        # float64 for 16 bits: a GPU may round factors in float32 to 10 binary digits
        rows, columns = filters(start, length, self.size, side, self.kernel).to(exact).split(count)
        upright = images.permute(0, 3, 2, 1).to(exact, memory_format=torch.contiguous_format)
        lines = (columns @ upright.reshape(count, side, side * channels)).view(count, self.size, side, channels)
        if self.kernel.overshoots:
            lines.clamp_(0, white)  # as Pillow's are, between its passes
        found = rows @ lines.transpose(1, 2).reshape(count, side, self.size * channels)
        if self.kernel.overshoots:
            found.clamp_(0, white)
        return found.round_().to(images.dtype).view(count, self.size, self.size, channels).permute(0, 3, 1, 2)


def filters(start: Tensor, length: Tensor, size: int, side: int, kernel: Kernel) -> Tensor:
    """Of so many of `side` pixels `size` ones: float32 [images, size, side], weights that sum to 1.

    Args:
        start, length: float64 [images], of a stretch, in pixels; of a pixel that is partly inside that part counts.
    """
    scale = (length / size)[:, None]
    wide = scale.clamp(min=1)  # antialiased: of larger steps more pixels count
    centers = start[:, None] + (torch.arange(size, device=start.device) + 0.5) * scale
    taps = min(side, int(2 * kernel.reach * max(1, side / size)) + 1)  # of all the pixels so many can count
    first = (centers - kernel.reach * wide - 0.5).ceil().clamp(0, side - taps).long()
    pixels = (first[..., None] + torch.arange(taps, device=start.device)).double()
    end = (start + length)[:, None, None]
    inside = (torch.minimum(pixels + 1, end) - torch.maximum(pixels, start[:, None, None])).clamp(0, 1)
    weights = kernel.weight((pixels + 0.5 - centers[..., None]) / wide[..., None]) * inside
    weights = (weights / weights.sum(2, keepdim=True)).float()
    dense = torch.zeros(len(start), size, side, device=start.device)
    return dense.scatter_(2, first[..., None] + torch.arange(taps, device=start.device), weights)
