"""DCGAN (Radford, Metz and Chintala 2016, arXiv:1511.06434): convolutions alone, upwards and downwards.

For 64 pixels a side as in the paper and its authors' code. For another side the stages are fewer or more: each halves
it, down to a map of 4 to 7 pixels, so 28 is 7 x 4 and 32 is 4 x 8.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise
from typing import Any, ClassVar

import timm.models
import torch
from timm.layers import to_2tuple
from timm.models import generate_default_cfgs, register_model
from torch import Tensor, nn
from torch.func import functional_call

from cnntrain.core.adversaries import Scores, Seen
from cnntrain.core.targets import Target
from cnntrain.models.base import default_cfg

SMALLEST = range(4, 8)  # sides of the coarsest maps
SPREAD = 0.02  # standard deviation of weights at the start
SLOPE = 0.2  # of the discriminator's rectifiers below 0


class Dcgan(nn.Module):
    """Images (N, in_chans, side, side) with values from -1 to 1 to `Scores` in training, to `Seen` in an evaluation.

    A step trains both networks at once, each by its own loss: what the one gives the other takes as it is.

    The discriminator stands where other networks have their classifier, so that ``transfer.head_lr_multiplier`` is of
    its rate.

    Args:
        num_classes: of the data, whose images are learned whatever they show.
        img_size: pixels a side; of a pair, which is what timm gives, both are the same.
        latent: numbers that an image is made of.
        width: channels of the finest maps; each coarser one has twice as many.
    """

    target: ClassVar[Target] = "image"
    bounded = True  # its images are from -1 to 1, so those that it is shown must be

    def __init__(
        self,
        num_classes: int = 0,
        in_chans: int = 3,
        img_size: int | tuple[int, int] = 64,
        latent: int = 100,
        width: int = 64,
    ):
        super().__init__()
        for name, value in (("latent", latent), ("width", width)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be an integer from 1 on, not {value}")
        self.num_classes, self.in_chans, self.latent = num_classes, in_chans, latent
        side, depths = _stages(max(to_2tuple(img_size)), width)
        self.generator = _generator(latent, side, depths, in_chans)
        self.discriminator = _discriminator(in_chans, depths[::-1], side)
        self.apply(_begin)

    @property
    def beside(self) -> dict[str, tuple[int, ...]]:
        """The network that no image goes through, and the shape of what it is given."""
        return {"generator": (self.latent, 1, 1)}

    def generate(self, latents: Tensor) -> Tensor:
        return self.generator(latents[:, :, None, None])

    def draw(self, images: Tensor) -> Tensor:
        """As many latents as images, of the generator that is seeded for each step and process, so that a resumed run
        draws what an uninterrupted one would."""
        return torch.randn(len(images), self.latent, device=images.device, dtype=images.dtype)

    def discriminate(self, images: Tensor) -> Tensor:
        return self.discriminator(images).flatten()

    def forward(self, images: Tensor) -> Scores | Seen:
        if not self.training:
            return Seen(images, self.discriminate(images), self)
        made = self.generate(self.draw(images))
        real, fake = self.discriminate(images), self.discriminate(made.detach())
        return Scores(real, fake, self._fooled(made))

    def _fooled(self, made: Tensor) -> Tensor:
        """Logits whose gradient passes through the discriminator, and leaves its parameters and statistics alone."""
        still = {name: each.detach() for name, each in self.discriminator.named_parameters()}
        copies = {name: each.clone() for name, each in self.discriminator.named_buffers()}
        found: Tensor = functional_call(self.discriminator, {**still, **copies}, (made,))
        return found.flatten()

    def get_classifier(self) -> nn.Module:
        return self.discriminator

    def group_matcher(self, coarse: bool = False) -> dict[str, str]:
        return {name: rf"^{name}\." if coarse else rf"^{name}\.(\d+)" for name in ("generator", "discriminator")}


def _stages(side: int, width: int) -> tuple[int, list[int]]:
    """The side of the coarsest maps, and the channels of all maps from there on.

    Raises:
        ValueError: halving does not lead from `side` to such maps.
    """
    coarsest, halvings = side, 0
    while coarsest > SMALLEST[-1] and coarsest % 2 == 0:
        coarsest, halvings = coarsest // 2, halvings + 1
    if coarsest not in SMALLEST or not halvings:
        raise ValueError(
            f"images of {side} pixels a side cannot be made by doubling maps of 4 to 7: data.image_size=28, 32, 64 or "
            "128 can"
        )
    return coarsest, [width * 2**each for each in reversed(range(halvings))]


def _generator(latent: int, side: int, depths: list[int], channels: int) -> nn.Sequential:
    """From maps of one pixel to images."""
    first = nn.ConvTranspose2d(latent, depths[0], side, bias=False)
    doubled = [_doubled(ins, outs) for ins, outs in pairwise(depths)]
    stages = [_stage(conv, nn.ReLU(), nn.BatchNorm2d(conv.out_channels)) for conv in (first, *doubled)]
    return nn.Sequential(*stages, _stage(_doubled(depths[-1], channels), nn.Tanh()))


def _discriminator(channels: int, depths: list[int], side: int) -> nn.Sequential:
    """From images to a logit each."""
    stages = [_stage(_halved(channels, depths[0]), nn.LeakyReLU(SLOPE))]
    for ins, outs in pairwise(depths):
        stages.append(_stage(_halved(ins, outs), nn.LeakyReLU(SLOPE), nn.BatchNorm2d(outs)))
    return nn.Sequential(*stages, _stage(nn.Conv2d(depths[-1], 1, side, bias=False)))


def _stage(conv: nn.Module, act: nn.Module | None = None, bn: nn.Module | None = None) -> nn.Sequential:
    layers = {"conv": conv, "bn": bn, "act": act}
    return nn.Sequential(OrderedDict((name, each) for name, each in layers.items() if each is not None))


def _doubled(ins: int, outs: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(ins, outs, 4, 2, 1, bias=False)


def _halved(ins: int, outs: int) -> nn.Conv2d:
    return nn.Conv2d(ins, outs, 4, 2, 1, bias=False)


def _begin(module: nn.Module) -> None:
    """Weights from N(0, 0.02) as in the paper; scales of batch norms from N(1, 0.02) as in its authors' code."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, SPREAD)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, SPREAD)


default_cfgs = generate_default_cfgs(
    {"dcgan": default_cfg("discriminator.0.conv", (3, 64, 64), 0, classifier="discriminator", fixed_input_size=True)}
)


@register_model
def dcgan(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return timm.models.build_model_with_cfg(Dcgan, "dcgan", pretrained, **kwargs)
