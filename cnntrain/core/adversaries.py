"""What a generator and a discriminator give, in the words that networks and tasks share."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from cnntrain.core import seeds


class Scores(NamedTuple):
    """Logits of the discriminator, [batch] each, in training; a positive one means that it takes an image for real.

    Attributes:
        fake: of generated images, without a gradient to the generator.
        fooled: of the same images, without a gradient to the discriminator.
    """

    real: Tensor
    fake: Tensor
    fooled: Tensor


class Adversaries(Protocol):
    """A generator of images with values from -1 to 1, and a discriminator.

    Attributes:
        latent: numbers that an image is made of.
    """

    latent: int

    def generate(self, latents: Tensor) -> Tensor:
        """[batch, latent] to [batch, channels, height, width]."""
        ...

    def discriminate(self, images: Tensor) -> Tensor:
        """[batch, channels, height, width] to logits [batch]."""
        ...


class Seen(NamedTuple):
    """Images of an evaluation, their logits, and what is judged beside them."""

    images: Tensor
    real: Tensor
    network: Adversaries


def latents(positions: range, size: int) -> Tensor:
    """float32 [positions, size], standard normal: of each position always the same numbers, whatever the run, so that
    networks are judged by the same ones, and an image that was made can be made again."""
    drawn = [torch.randn(size, generator=seeds.generator("latent", each)) for each in positions]
    return torch.stack(drawn) if drawn else torch.empty(0, size)


@torch.no_grad()
def made(network: Adversaries, positions: range, like: Tensor) -> Tensor:
    """The images of fixed `latents`, on the device and in the type of a tensor."""
    return network.generate(latents(positions, network.latent).to(like))


def pixels(images: Tensor) -> Tensor:
    """Values from -1 to 1 as image files have them, uint8."""
    return ((images.float() + 1) * 127.5).round().clamp(0, 255).byte()


def pictures(network: Any, positions: range) -> Tensor:
    """The images of fixed `latents`, uint8, by a network that stands where it was put."""
    return pixels(made(network, positions, next(network.parameters(), torch.empty(0))))
