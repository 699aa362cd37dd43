"""The evidence of a network that averages what it finds in windows, window by window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from cnntrain.core.errors import InputError, RunError
from cnntrain.models.bagnet import BagNet
from cnntrain.study.explain.gradients import chosen
from cnntrain.study.explain.subject import Subject

TOLERANCE = 1e-4  # of the logit: float32 sums in another order


class Evidence(NamedTuple):
    """Attributes:
    local: logits of the windows for each image's class, [images, rows, columns].
    logits: of the images, [images].
    means: of `local`, [images].
    field: pixels a side of a window.
    jump: pixels from a window to the next.
    """

    local: Tensor
    logits: Tensor
    means: Tensor
    field: int
    jump: int


def local(subject: Subject, inputs: Tensor, targets: Tensor) -> Evidence:
    """The evidence of a BagNet.

    Raises:
        InputError: the network is none, or averages in another way.
        RunError: the mean of the evidence is not the logit.
    """
    network = subject.network
    pool = getattr(getattr(network, "global_pool", None), "pool_type", None)
    if not isinstance(network, BagNet) or pool != "avg" or not isinstance(network.classifier, torch.nn.Linear):
        raise InputError(f"method=bagnet: {type(network).__name__} is no BagNet that averages: train model=bagnet17")
    with torch.no_grad():
        logits = chosen(subject.logits(inputs), targets).double()
        features = network.forward_features(inputs).double()
        weight, bias = network.classifier.weight.double()[targets], network.classifier.bias.double()[targets]
        found = torch.einsum("nchw,nc->nhw", features, weight) + bias[:, None, None]
    means = found.mean((1, 2))
    error = (means - logits).abs()
    if bool((error > TOLERANCE * logits.abs().clamp(min=1)).any()):
        raise RunError(f"the mean of the local evidence misses the logit by {float(error.max()):g}")
    return Evidence(found, logits, means, *_windows(network))


def _windows(network: BagNet) -> tuple[int, int]:
    """Pixels a side of what a feature sees, and from one feature to the next, from the convolutions on the way."""
    field, jump = 1, 1
    for name, each in network.named_modules():
        if isinstance(each, torch.nn.Conv2d) and "shortcut" not in name:
            field += (each.kernel_size[0] - 1) * jump
            jump *= each.stride[0]
    return field, jump


def spread(values: Tensor, size: Sequence[int], field: int, jump: int) -> Tensor:
    """Of each pixel the evidence of the window whose middle is nearest, [images, height, width]."""
    rows, columns = (
        ((torch.arange(pixels, device=values.device) - (field - 1) / 2) / jump).round().long().clamp(0, count - 1)
        for pixels, count in zip(size, values.shape[1:], strict=True)
    )
    return values[:, rows][:, :, columns]
