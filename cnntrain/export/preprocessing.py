"""`Preprocess` as part of a network: images of any size to what the network sees, in tensor operations alone.

The resize is Pillow's, to the pixel (src/libImaging/Resample.c): along x, rounded to whole grey levels, then along y,
with weights of 22 binary digits. Each direction is a product with a matrix of weights, whose sums are whole numbers
below 2^53, which float64 adds without rounding: so any runtime finds the same pixels. From Pillow 13 on
some are resized along y first. Of the nearest pixel alone the choice may differ, where two are equally near.
"""

from __future__ import annotations

from collections.abc import Callable
from math import floor, pi
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cnntrain.data.batches.long_images import MAY_BEGIN_WITH_Y
from cnntrain.data.batches.preprocess import Preprocess

DIGITS = 22  # binary ones of a weight, as Pillow has them for pixels of 8 bits
WHITE = 255


class Filter(NamedTuple):
    """Weights of source pixels by their distance, in target pixels where there are fewer of them; 0 beyond `reach`."""

    reach: float
    weight: Callable[[Tensor], Tensor]


def _bilinear(x: Tensor) -> Tensor:
    return (1 - x.abs()).clamp(min=0)


def _bicubic(x: Tensor) -> Tensor:
    x = x.abs()
    near, far = (1.5 * x - 2.5) * x * x + 1, ((x - 5) * x + 8) * x * -0.5 + 2
    return torch.where(x < 1, near, torch.where(x < 2, far, 0.0))


def _box(x: Tensor) -> Tensor:
    return ((x > -0.5) & (x <= 0.5)).double()


def _sinc(x: Tensor) -> Tensor:
    angle = torch.where(x == 0, 1.0, x * pi)
    return torch.where(x == 0, 1.0, angle.sin() / angle)


def _hamming(x: Tensor) -> Tensor:
    return torch.where(x.abs() < 1, _sinc(x) * (0.54 + 0.46 * (x * pi).cos()), 0.0)


def _lanczos(x: Tensor) -> Tensor:
    return torch.where((x >= -3) & (x < 3), _sinc(x) * _sinc(x / 3), 0.0)


FILTERS = {
    "bilinear": Filter(1, _bilinear),
    "bicubic": Filter(2, _bicubic),
    "box": Filter(0.5, _box),
    "hamming": Filter(1, _hamming),
    "lanczos": Filter(3, _lanczos),
}


class Side(NamedTuple):
    """One direction of an image: its pixels, those that it is resized to, and the first of these that is seen, which
    is negative where a border comes first. Tensors of no dimension, float64."""

    length: Tensor
    resized: Tensor
    first: Tensor


class SeenInGraph(nn.Module):
    """uint8 [batch, height, width, channels] to normalised float32 [batch, channels, image_size, image_size]."""

    def __init__(self, seen: Preprocess):
        super().__init__()
        self.scale: Tensor
        self.shift: Tensor
        self.fill: Tensor
        self.size = seen.image_size
        self.scaled = floor(seen.image_size / seen.crop_fraction)
        self.crop = seen.crop
        self.interpolation = seen.interpolation
        mean, std = (torch.tensor(each, dtype=torch.float64).view(-1, 1, 1) for each in (seen.mean, seen.std))
        fill = torch.tensor([round(WHITE * each) for each in seen.mean], dtype=torch.float64)
        self.register_buffer("scale", (1 / (WHITE * std)).float(), persistent=False)
        self.register_buffer("shift", (-mean / std).float(), persistent=False)
        self.register_buffer("fill", fill, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        height, width = (torch.full((), each, dtype=torch.float64) for each in images.shape[1:3])
        rows, columns = self._sides(height, width)
        across, seen_across = self._weights(columns, images.shape[2])
        down, seen_down = self._weights(rows, images.shape[1])
        pixels = images.permute(0, 3, 1, 2).double()
        if MAY_BEGIN_WITH_Y:
            pixels = _either(self._begins_with_y(rows, columns), _y_first, _x_first, pixels, down, across)
        else:
            pixels = _x_first(pixels, down, across)
        if self.crop == "pad":
            inside = seen_down.unsqueeze(1) & seen_across
            pixels = torch.where(inside, pixels, self.fill.view(-1, 1, 1))
        return torch.addcmul(self.shift, pixels.float(), self.scale)

    def _sides(self, height: Tensor, width: Tensor) -> tuple[Side, Side]:
        if self.crop == "squash":
            whole = torch.full((), self.scaled, dtype=torch.float64)
            resized = [whole, whole]
        elif self.crop == "pad":
            ratio = torch.maximum(height, width) / self.scaled
            resized = [(each / ratio).round().clamp(min=1) for each in (height, width)]
        else:
            short = torch.minimum(height, width)
            resized = [(self.scaled * each / short).floor() for each in (height, width)]
        first = [self._first(each) for each in resized]
        return Side(height, resized[0], first[0]), Side(width, resized[1], first[1])

    def _first(self, resized: Tensor) -> Tensor:
        """Half of what is left over is cut off, or half of what is missing is border."""
        missing = self.size - resized
        return torch.where(missing > 0, -(missing / 2).floor(), (-missing / 2).round())

    def _weights(self, side: Side, length: int) -> tuple[Tensor, Tensor]:
        """[image_size, length]: the weight of each source pixel in each that is seen; and [image_size]: whether one is
        of the image at all."""
        place = torch.arange(self.size, dtype=torch.float64) + side.first
        inside = (place >= 0) & (place < side.resized)
        source = torch.arange(length, dtype=torch.float64)
        scale = side.length / side.resized
        center = ((place + 0.5) * scale).unsqueeze(1)
        if self.interpolation.startswith("nearest"):
            return (source == center.floor()).double() * 2**DIGITS, inside
        reach, weight = FILTERS[self.interpolation]
        wide = scale.clamp(min=1)
        low, high = (center - reach * wide + 0.5).floor(), (center + reach * wide + 0.5).floor()
        values = weight((source - center + 0.5) * (1 / wide))
        values = torch.where((source >= low) & (source < high), values, 0.0)
        values = values / values.sum(1, keepdim=True) * 2**DIGITS
        return values.sign() * (values.abs() + 0.5).floor(), inside

    def _begins_with_y(self, rows: Side, columns: Side) -> Tensor:
        fewer = rows.length - rows.resized
        return (fewer > 0) & (fewer > 2 * (columns.length - columns.resized))


def _either(which: Tensor, first: Callable[..., Tensor], second: Callable[..., Tensor], *given: Tensor) -> Tensor:
    """What the one function or the other makes of what is given; a program has both."""
    if torch.compiler.is_exporting():
        return torch.cond(which, first, second, given)
    return first(*given) if which else second(*given)


def _x_first(pixels: Tensor, down: Tensor, across: Tensor) -> Tensor:
    return _rounded(down @ _rounded(pixels @ across.T))


def _y_first(pixels: Tensor, down: Tensor, across: Tensor) -> Tensor:
    return _rounded(_rounded(down @ pixels) @ across.T)


def _rounded(sums: Tensor) -> Tensor:
    return (sums / 2**DIGITS + 0.5).floor().clamp(0, WHITE)
