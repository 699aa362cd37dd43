"""Gradients of a class's logit, of the image and of what a layer gives."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from cnntrain.core.errors import InputError
from cnntrain.models import layers
from cnntrain.study.explain.hooks import recorded
from cnntrain.study.explain.subject import Subject


def of_image(subject: Subject, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """The gradient of each image's class's logit by its pixels, of the shape of `inputs`, and the logits [images]."""
    pixels = inputs.detach().requires_grad_()
    found = chosen(subject.logits(pixels), targets)
    if not found.requires_grad:  # of a box that is not there the score is 0, whatever the pixels do
        return torch.zeros_like(inputs), found
    (gradient,) = torch.autograd.grad(found.sum(), pixels)
    return gradient, found.detach()


def at_layer(subject: Subject, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """What the subject's layer gives, and the gradient of each image's class's logit by it, both
    [images, channels, ...].

    Raises:
        InputError: the layer gives no maps, or the logits do not depend on it.
    """
    with recorded(layers.named(subject.network, subject.at), subject.at) as kept:
        found = chosen(subject.logits(inputs), targets)
    if not subject.is_map(kept.value.shape):
        shape = list(kept.value.shape[1:])
        raise InputError(f"layer={subject.at}: gives {shape} an image and no maps {subject.map_in_words}")
    if len(kept.value) != len(inputs):
        raise InputError(
            f"layer={subject.at}: gives {len(kept.value)} maps of parts of {len(inputs)} images, and none of an image: "
            "choose another layer, or a method that looks at none, such as saliency or occlusion"
        )
    gradient = torch.autograd.grad(found.sum(), kept.value, allow_unused=True)[0] if found.requires_grad else None
    if gradient is None:
        raise InputError(f"layer={subject.at}: the answer does not depend on it: choose another")
    return kept.value.detach(), gradient


def chosen(logits: Tensor, targets: Tensor) -> Tensor:
    """Of each row the logit of its class, [images]."""
    return logits.gather(1, targets[:, None])[:, 0]


class Integrated(NamedTuple):
    """Attributes:
    values: [images, channels, height, width].
    ends: logits of the images, [images].
    starts: logits of the image of the mean colour, for the same classes, [images].
    """

    values: Tensor
    ends: Tensor
    starts: Tensor


def integrated(subject: Subject, inputs: Tensor, targets: Tensor, steps: int) -> Integrated:
    """The integral of the gradient from the image of the mean colour, zeros, to each image, times the way; by
    Gauss-Legendre quadrature at so many points, as captum's default has it."""
    points, weights = np.polynomial.legendre.leggauss(steps)
    total = torch.zeros_like(inputs)
    for point, weight in zip(((1 + points) / 2).tolist(), (weights / 2).tolist(), strict=True):
        total += weight * of_image(subject, point * inputs, targets)[0]
    with torch.no_grad():
        ends = chosen(subject.logits(inputs), targets)
        starts = chosen(subject.logits(torch.zeros_like(inputs)), targets)
    return Integrated(total * inputs, ends, starts)
