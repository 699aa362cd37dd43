"""The beginning of a new classifier on a network whose other weights are loaded."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn

from cnntrain.models.parts import gaussian_init


def begin(model: nn.Module, heads: Iterable[str]) -> None:
    """Let the modules of `model` under these paths, classifiers and auxiliary heads, prefer no class: the layers that
    have an output a class get weights from N(0, 0.01^2) and biases of 0, as the new layers of a network that is
    fine-tuned have in Girshick 2015 (arXiv:1504.08083, section 2.3). So the first loss is about ln(classes); what a
    network's own initialisation gives is meant for features before training, and trained ones can be far larger.

    Drawn from torch's global generator, as the network's own weights were.
    """
    classes = int(getattr(model, "num_classes", 0))
    for path in heads:
        for layer in model.get_submodule(path).modules():
            if classes in _outputs(layer):
                gaussian_init(layer)


def _outputs(layer: Any) -> tuple[int, ...]:
    if isinstance(layer, nn.Linear):
        return (layer.out_features,)
    return (layer.out_channels,) if isinstance(layer, nn.Conv2d | nn.Conv3d) else ()
