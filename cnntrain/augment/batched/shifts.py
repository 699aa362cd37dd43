"""Shifts by whole pixels, and mirror images: pixels are moved, none is mixed."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from cnntrain.augment.batched.masks import along
from cnntrain.core.boxes import within
from cnntrain.core.draws import Draws


class ShiftFlip:
    """A crop of the image's own size from the image with a border, and its mirror image.

    Args:
        padding: of the border, pixels.
        flip: the mirror image's probability.
        reflects: whether the border is the image mirrored at its rim; else it is black.
        alternates: whether `flip` is drawn in the first epoch alone, after which an image turns with each
            (Jordan 2024, arXiv:2404.00498).
    """

    alone = True

    def __init__(self, padding: int, flip: float, reflects: bool = False, alternates: bool = False):
        self.padding = padding
        self.flip = flip
        self.reflects = reflects
        self.alternates = alternates

    def __call__(self, images: Tensor, targets: Any, draws: Draws) -> tuple[Tensor, Any]:
        across, down, side = draws.uniform("shift_flip", 3)
        places = 2 * self.padding + 1
        left, top = ((each * places).long() for each in (across, down))
        mirrored = side < self.flip
        if self.alternates:
            first = draws.first.uniform("shift_flip", 3)[2] < self.flip
            mirrored = ~first if draws.epoch % 2 else first
        height, width = images.shape[-2:]

        def objects(found: dict[str, Any]) -> dict[str, Any]:
            boxes = _moved(found["boxes"], left - self.padding, top - self.padding, mirrored, width)
            return within({**found, "boxes": boxes}, height, width)

        if self.padding == 0:
            return _mirrored(images, mirrored), along(targets, lambda each: _mirrored(each, mirrored), objects)
        moved = [left, top, mirrored, self.padding, self.reflects]
        return cropped(images, *moved), along(targets, lambda each: cropped(each, *moved), objects)


def cropped(
    images: Tensor, left: Tensor, top: Tensor, mirrored: Tensor, padding: int, reflects: bool = False
) -> Tensor:
    """The crop at (`left`, `top`) of each padded image, of the size that it has without the border, perhaps mirrored.

    Of all images at once, by places in the batch, channels together: the result is in channels_last.
    """
    count, channels, height, width = images.shape
    high, wide = height + 2 * padding, width + 2 * padding
    padded = images.new_zeros(count, high, wide, channels)
    padded[:, padding : padding + height, padding : padding + width] = images.permute(0, 2, 3, 1)
    if reflects:
        for each in (padded, padded.transpose(1, 2)):
            each[:, :padding] = each[:, padding + 1 : 2 * padding + 1].flip(1)
            each[:, -padding:] = each[:, -2 * padding - 1 : -padding - 1].flip(1)
    rows = (_lines(count, high, height, images.device) + top[:, None]) * wide
    fetch = _rows if images.device.type == "cpu" else _pixels
    return fetch(padded, rows, left, mirrored, width).permute(0, 3, 1, 2)


@lru_cache(maxsize=32)  # each batch needs the same
def _lines(count: int, high: int, height: int, device: torch.device) -> Tensor:
    """int64 [count, height]: of images one below the other, each so high, the numbers of the first lines."""
    return (torch.arange(count, device=device) * high)[:, None] + torch.arange(height, device=device)


def _pixels(padded: Tensor, rows: Tensor, left: Tensor, mirrored: Tensor, width: int) -> Tensor:
    """Each pixel by itself."""
    column = _lines(1, width, width, padded.device)
    columns = torch.where(mirrored[:, None], width - 1 - column, column) + left[:, None]
    places = rows[:, :, None] + columns[:, None, :]
    return padded.view(-1, padded.shape[3]).index_select(0, places.view(-1)).view(*places.shape, -1)


def _rows(padded: Tensor, rows: Tensor, left: Tensor, mirrored: Tensor, width: int) -> Tensor:
    """Row by row, mirrored images last, which are turned: faster on a CPU, but a GPU would have to be waited for.

    All images are then put in their places at once; torch puts some into the places of others ten times more slowly.
    """
    count, channels = len(padded), padded.shape[3]
    windows = padded.as_strided((padded.numel() // channels - width + 1, width * channels), (channels, 1))
    order = mirrored.argsort(stable=True)
    found = windows.index_select(0, (rows + left[:, None])[order].view(-1)).view(count, -1, width, channels)
    turned = found[count - int(mirrored.sum()) :]
    turned.copy_(turned.flip(2))
    return found.index_select(0, order.argsort())


def _moved(boxes: Tensor, left: Tensor, top: Tensor, mirrored: Tensor, width: int) -> Tensor:
    """Boxes [samples, rows, 4] where the crop at (`left`, `top`) shows them, perhaps mirrored."""
    found = boxes - torch.stack([left, top, left, top], 1)[:, None].to(boxes)
    turned = torch.stack([width - found[..., 2], found[..., 1], width - found[..., 0], found[..., 3]], -1)
    return torch.where(mirrored[:, None, None], turned, found)


def _mirrored(images: Tensor, which: Tensor) -> Tensor:
    return torch.where(which[:, None, None, None], images.flip(3), images)
