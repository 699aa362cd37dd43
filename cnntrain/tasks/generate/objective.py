"""Generation at work: both networks' losses in one, and the sums of training and of an evaluation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, binary_cross_entropy_with_logits, softplus

from cnntrain.core.adversaries import Scores, Seen
from cnntrain.tasks.generate.metrics import Judged, Losses, Totals

Features = Callable[[Tensor], Tensor]  # uint8 [batch, channels, height, width] to floating point [batch, size]

SIDE = 8  # of images whose pixels are compared


def shrunk(images: Tensor) -> Tensor:
    """Pixels, from 0 to 1, of images shrunk to `SIDE` a side: what is compared where no network's features are."""
    side = min(SIDE, images.shape[-1])
    return adaptive_avg_pool2d(images.float() / 255, side).flatten(1)


class Generation:
    """The discriminator's loss is the cross-entropy of telling real images from made ones; the generator's that of
    making it take made ones for real (the loss that does not saturate). A step minimises their sum, in which each has
    a gradient to its own network alone: see `Scores`.

    Args:
        name: of the column of their distance.
        label_smoothing: what real images' probability of being real is to be less than 1; of training alone.
        samples: images that are made for an evaluation.
        features: by which they are compared with those of a part.
    """

    has_answers = False

    def __init__(self, name: str, label_smoothing: float, samples: int, features: Features):
        self.name = name
        self.real = 1.0 - label_smoothing
        self.samples = samples
        self.features = features

    def loss(self, outputs: Scores, targets: Any) -> tuple[Tensor, Losses]:
        real, fake, fooled = (each.to(torch.promote_types(each.dtype, torch.float32)) for each in outputs)
        known = binary_cross_entropy_with_logits(real, torch.full_like(real, self.real))
        discriminator, generator = known + softplus(fake).mean(), softplus(-fooled).mean()
        return discriminator + generator, Losses(len(real), discriminator.detach(), generator.detach())

    def plain_loss(self, outputs: Seen, targets: Any) -> tuple[Tensor, Seen]:
        """That of the discriminator on the part's images; `Judged` adds those on made ones."""
        return softplus(-outputs.real.double()).mean(), outputs

    def each_loss(self, judged: Any, targets: Any) -> NoReturn:
        raise AssertionError("made images are answers to none")

    answers = each_loss

    def totals(self, device: torch.device) -> Totals:
        return Totals(device)

    def judged(self, device: torch.device) -> Judged:
        return Judged(device, self.name, self.features, self.samples)
