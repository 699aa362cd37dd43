"""Networks with random weights for the methods of `study.explain`."""

from __future__ import annotations

from functools import partial
from typing import Any

import timm
import torch
from torch import Tensor, nn

from cnntrain.data.batches.preprocess import Preprocess
from cnntrain.models import registry
from cnntrain.study.explain.subject import Subject
from cnntrain.tasks.score import WholeScore


def network(name: str, size: int, channels: int = 3, classes: int = 10, **args: Any) -> nn.Module:
    """With BatchNorm statistics that are not the initial ones, so that it tells evaluation from training."""
    registry.register()
    torch.manual_seed(0)
    net = timm.create_model(name, num_classes=classes, in_chans=channels, **args)
    for each in net.modules():
        if isinstance(each, nn.BatchNorm2d):
            each.running_mean.uniform_(-0.1, 0.1)
            each.running_var.uniform_(0.5, 1.5)
    return net.eval()


def subject_of(net: nn.Module, size: int, channels: int = 3, classes: int = 10, layer: str | None = None) -> Subject:
    seen = Preprocess(channels, size, "squash", 1.0, "bilinear", [0.5] * channels, [0.25] * channels, "white")
    names = [f"class {number}" for number in range(classes)]
    scoring = partial(WholeScore, probabilities=lambda logits: logits.double().softmax(1))
    return Subject(net, layer, names, seen, scoring, torch.device("cpu"))


def images(count: int, size: int, channels: int = 3) -> Tensor:
    return torch.randn(count, channels, size, size, generator=torch.Generator().manual_seed(1))
