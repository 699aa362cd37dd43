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


def network(name: str, size: int, channels: int = 3, classes: int = 10, /, **args: Any) -> nn.Module:
    """With BatchNorm statistics that are not the initial ones, so that it tells evaluation from training."""
    registry.register()
    torch.manual_seed(0)
    net = timm.create_model(name, num_classes=classes, in_chans=channels, **args)
    for each in net.modules():
        if isinstance(each, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
            each.running_mean.uniform_(-0.1, 0.1)
            each.running_var.uniform_(0.5, 1.5)
    return net.eval()


WHOLE = partial(WholeScore, probabilities=lambda logits: logits.double().softmax(1))


def subject_of(
    net: nn.Module,
    size: int,
    channels: int = 3,
    classes: int = 10,
    layer: str | None = None,
    sides: list[int] | None = None,
    scoring: Any = WHOLE,
) -> Subject:
    """Args:
    sides: of signals and volumes, see `Preprocess`.
    scoring: see `Subject`.
    """
    middle, depth = [[0.5] * channels, [0.25] * channels], 32 if sides is not None and len(sides) == 1 else 8
    seen = Preprocess(channels, size, "squash", 1.0, "bilinear", *middle, "white", depth, sides=sides)  # type: ignore[arg-type]
    names = [f"class {number}" for number in range(classes)]
    return Subject(net, layer, names, seen, scoring, torch.device("cpu"))


def images(count: int, size: int, channels: int = 3) -> Tensor:
    return noise(count, channels, size, size)


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))
