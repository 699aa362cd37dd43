"""Operations on the pixels of many images at once, uint8 [images, channels, height, width], each with a number of its
own [images]; named and meant as those of Pillow and torchvision.

What an operation gives is rounded to the nearest grey level. Sums over pixels are of whole numbers: an image comes out
the same whatever images are beside it. A grey image has no saturation and no hue: it stays as it is.
"""

from __future__ import annotations

import torch
from torch import Tensor

LUMA = (0.299, 0.587, 0.114)  # ITU-R 601


def brightness(images: Tensor, factor: Tensor) -> Tensor:
    return _mixed(images, torch.zeros((), device=images.device), factor)


def contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Towards the mean of the greys, or away from it."""
    grey = luma(images).long() if images.shape[1] == 3 else images.long()
    count = grey[0].numel()
    mean = grey.flatten(1).sum(1).double() / count
    return _mixed(images, mean.float().view(-1, 1, 1, 1), factor)


def saturation(images: Tensor, factor: Tensor) -> Tensor:
    return images if images.shape[1] == 1 else _mixed(images, luma(images).float(), factor)


def hue(images: Tensor, turn: Tensor) -> Tensor:
    """Every hue turned by `turn` of the circle: through HSV and back (Smith 1978, doi:10.1145/965139.807361)."""
    if images.shape[1] == 1:
        return images
    red, green, blue = images.float().unbind(1)
    value, chroma = images.float().amax(1), (images.amax(1) - images.amin(1)).float()
    over = chroma.clamp(min=1)
    sixth = torch.where(
        value == red,
        (green - blue) / over,
        torch.where(value == green, (blue - red) / over + 2, (red - green) / over + 4),
    )
    sixth = sixth + 6 * turn.float().view(-1, 1, 1)
    places = [(sixth + number) % 6 for number in (5, 3, 1)]
    parts = [value - chroma * torch.minimum(each, 4 - each).clamp(0, 1) for each in places]
    return _levels(torch.stack(parts, 1))


def luma(images: Tensor) -> Tensor:
    """uint8 [images, 1, height, width], of colour images."""
    red, green, blue = images.float().unbind(1)
    return _levels(LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue)[:, None]


def sharpness(images: Tensor, factor: Tensor) -> Tensor:
    """Towards the image smoothed by 3x3 pixels, whose middle weighs five times, or away from it; the edge stays."""
    if min(images.shape[2:]) < 3:
        return images
    whole = images.to(torch.int16)
    rows = whole[:, :, :-2] + whole[:, :, 1:-1] + whole[:, :, 2:]
    inside = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:] + 4 * whole[:, :, 1:-1, 1:-1]
    smooth = whole.float()
    smooth[:, :, 1:-1, 1:-1] = (inside.float() / 13).round_()
    return _mixed(images, smooth, factor)


def posterize(images: Tensor, bits: Tensor) -> Tensor:
    """Only so many of the highest bits of a value are kept."""
    step = (2.0 ** (8 - bits.round())).to(torch.int16).view(-1, 1, 1, 1)
    return (images.to(torch.int16) // step * step).to(torch.uint8)


def solarize(images: Tensor, threshold: Tensor) -> Tensor:
    """Values at least the threshold are inverted."""
    return torch.where(images >= threshold.float().view(-1, 1, 1, 1), 255 - images, images)


def invert(images: Tensor) -> Tensor:
    return 255 - images


def autocontrast(images: Tensor) -> Tensor:
    """Each channel stretched to the values from 0 to 255."""
    flat = images.flatten(2)
    least, most = (each.float()[..., None, None] for each in (flat.amin(2), flat.amax(2)))
    stretched = _levels((images.float() - least) * (255 / (most - least).clamp(min=1)))
    return torch.where(most > least, stretched, images)


def equalize(images: Tensor) -> Tensor:
    """Each channel's values by their rank, as Pillow counts: all values about equally often."""
    rows = images.flatten(2).flatten(0, 1).long()
    first = torch.arange(len(rows), device=images.device)[:, None] * 256
    counts = first.new_zeros(256 * len(rows))  # bincount is slower, and waits for a GPU
    counts = counts.scatter_add_(0, (rows + first).flatten(), counts.new_ones(()).expand(rows.numel())).view(-1, 256)
    step = (rows.shape[1] - counts.gather(1, rows.amax(1, keepdim=True))) // 255  # the highest value is not counted
    below = counts.cumsum(1) - counts
    ranks = ((below + step // 2) // step.clamp(min=1)).clamp(max=255)
    return torch.where(step > 0, ranks.gather(1, rows), rows).to(torch.uint8).view_as(images)


def _mixed(images: Tensor, other: Tensor, factor: Tensor) -> Tensor:
    """`factor` of the image and the rest of the other."""
    return _levels(other + (images.float() - other) * factor.float().view(-1, 1, 1, 1))


def _levels(values: Tensor) -> Tensor:
    return values.round_().clamp_(0, 255).to(torch.uint8)
