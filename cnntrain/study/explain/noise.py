"""Noise that is a function of a seed and of an image."""

from __future__ import annotations

import torch
from torch import Tensor

from cnntrain.core.digest import digest


def generator(seed: int, image: Tensor) -> torch.Generator:
    """Of random numbers on the CPU, so that they are the same on every device.

    Args:
        image: what the network sees of it; two images with equal pixels get equal numbers.
    """
    return torch.Generator().manual_seed(int(digest([seed, image])[:15], 16))


def normal(drawn: torch.Generator, like: Tensor) -> Tensor:
    """Numbers from N(0, 1), of the shape, on the device and of the type of `like`."""
    return torch.randn(like.shape, generator=drawn).to(like)
