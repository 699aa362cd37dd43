"""Small rotations, shifts and changes of size of many images at once."""

from __future__ import annotations

from math import pi
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from cnntrain.augment.batched.masks import along
from cnntrain.core.boxes import within
from cnntrain.core.draws import Draws


class RandomAffine:
    """Args:
    degrees: of rotation, at most, to either side.
    shift: at most, as a fraction of the side.
    scale: change of size, at most.
    """

    def __init__(self, degrees: float, shift: float, scale: float):
        self.degrees = degrees
        self.shift = shift
        self.scale = scale

    def __call__(self, images: Tensor, targets: Any, draws: Draws) -> tuple[Tensor, Any]:
        turn, size, across, down = (2 * draws.uniform("affine", 4) - 1).unbind()
        moves = inverse(
            turn * (self.degrees * pi / 180), 1 + size * self.scale, 2 * across * self.shift, 2 * down * self.shift
        )
        height, width = images.shape[-2:]

        def objects(found: dict[str, Any]) -> dict[str, Any]:
            return within({**found, "boxes": around(found["boxes"], moves, width, height)}, height, width)

        return moved(images, moves, "bilinear"), along(targets, lambda each: moved(each, moves, "nearest"), objects)


def inverse(angle: Tensor, scale: Tensor, across: Tensor, down: Tensor, shear: Tensor | None = None) -> Tensor:
    """Where the pixels of a square image come from that is sheared, turned and scaled about its middle, then shifted.

    Args:
        angle: [images], radians, counter-clockwise as one looks at the picture.
        across, down: [images], of half a side.
        shear: [2, images], x by so many y and y by so many x, where wanted.

    Returns:
        [images, 2, 3], of places in [-1, 1].
    """
    cosine, sine = angle.cos() * scale, angle.sin() * scale
    matrix = torch.stack([torch.stack([cosine, sine], -1), torch.stack([-sine, cosine], -1)], -2)
    if shear is not None:
        one = torch.ones_like(angle)
        matrix = matrix @ torch.stack([torch.stack([one, shear[0]], -1), torch.stack([shear[1], one], -1)], -2)
    a, b, c, d = matrix.flatten(-2).unbind(-1)
    back = torch.stack([d, -b, -c, a], -1).unflatten(-1, (2, 2)) / (a * d - b * c)[:, None, None]
    shift = torch.stack([across, down], -1)[..., None]
    return torch.cat([back, -back @ shift], -1)


def around(boxes: Tensor, moves: Tensor, width: int, height: int) -> Tensor:
    """Of boxes [images, rows, 4] those around their four corners, where `moves`, as `inverse` has them, bring them."""
    half = torch.tensor([width / 2, height / 2], dtype=moves.dtype, device=moves.device)
    corners = boxes[..., [0, 1, 2, 1, 0, 3, 2, 3]].unflatten(-1, (4, 2)).to(moves) / half - 1
    there = torch.linalg.inv(moves[..., :2]) @ (corners.flatten(1, 2).mT - moves[..., 2:])
    places = (there.mT.unflatten(1, corners.shape[1:3]) + 1) * half
    return torch.cat([places.amin(-2), places.amax(-2)], -1).to(boxes)


def moved(images: Tensor, moves: Tensor, how: str, fill: int = 0) -> Tensor:
    """uint8 [images, channels, side, side] as `inverse` says; what comes from outside is `fill`."""
    grid = affine_grid(moves.float(), list(images.shape), align_corners=False)
    values = images.float() - fill
    found = grid_sample(values, grid, mode=how, padding_mode="zeros", align_corners=False)
    return (found + fill).round_().to(images.dtype)
