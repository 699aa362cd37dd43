"""Faults to be found by `cnntrain diagnose`: networks and a data set, each healthy but for one thing.

cnntrain diagnose --import scripts/faults/faults.py model=faulty_softmax
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import torch
from timm.models import generate_default_cfgs, register_model
from torch import Tensor, nn

from cnntrain.data.base import Data
from cnntrain.data.digits import Digits
from cnntrain.models.base import Net, Stage, build

RAW = {"mean": (0.0, 0.0, 0.0), "std": (1 / 255, 1 / 255, 1 / 255)}
NAMES = ("raw", "loud", "softmax", "sigmoid", "dead", "vanishing", "exploding", "deep", "blind", "none")
default_cfgs = generate_default_cfgs(
    {f"faulty_{name}": dict(input_size=(1, 32, 32), num_classes=10, **RAW) for name in NAMES}
)


class Faulty(Net):
    """Two convolutions, or more, between 32x32 pixels and a classifier."""

    def __init__(
        self,
        num_classes: int = 10,
        in_chans: int = 1,
        drop_rate: float = 0.0,
        depth: int = 2,
        act: Callable[[], nn.Module] = nn.ReLU,
        gain: float = 1.0,
    ) -> None:
        layers = [nn.Conv2d(in_chans, 8, 4, 4), nn.BatchNorm2d(8) if depth == 2 else nn.Identity(), act()]
        for _ in range(depth - 1):
            layers += [nn.Conv2d(8, 8, 3, 1, 1), act()]
        body = [nn.Conv2d(8, 32, 3, 2, 1), act()]
        stages = [Stage("stem", nn.Sequential(*layers), 8, 4), Stage("body", nn.Sequential(*body), 32, 2)]
        super().__init__(stages, num_classes=num_classes, in_chans=in_chans, drop_rate=drop_rate)
        for each in self.modules():
            if isinstance(each, nn.Conv2d) and act is nn.ReLU:
                nn.init.kaiming_normal_(each.weight)
                each.weight.data *= gain


class Behind(Faulty):
    """Something stands behind the classifier."""

    def __init__(self, behind: nn.Module, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.behind = behind

    def forward(self, x: Tensor) -> Tensor:
        return self.behind(super().forward(x))


class Blind(Faulty):
    """The classifier sees nothing of the image."""

    def forward_features(self, x: Tensor) -> Tensor:
        return torch.zeros_like(super().forward_features(x))


@register_model
def faulty_none(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(Faulty, "faulty_none", pretrained, **kwargs)


@register_model
def faulty_raw(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """With augment.normalize=model its images are from 0 to 255."""
    return build(Faulty, "faulty_raw", pretrained, **kwargs)


@register_model
def faulty_loud(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """The classifier's first weights are large."""
    net = build(Faulty, "faulty_loud", pretrained, **kwargs)
    net.get_classifier().weight.data *= 200
    return net


@register_model
def faulty_softmax(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(Behind, "faulty_softmax", pretrained, behind=nn.Softmax(1), **kwargs)


@register_model
def faulty_sigmoid(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(Behind, "faulty_sigmoid", pretrained, behind=nn.Sigmoid(), **kwargs)


@register_model
def faulty_dead(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """No ReLU of the body is ever above 0."""
    net = build(Faulty, "faulty_dead", pretrained, **kwargs)
    net.body[0].bias.data.fill_(-100)
    return net


@register_model
def faulty_vanishing(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(Faulty, "faulty_vanishing", pretrained, depth=10, act=nn.Sigmoid, **kwargs)


@register_model
def faulty_exploding(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(Faulty, "faulty_exploding", pretrained, depth=10, gain=3.0, **kwargs)


@register_model
def faulty_deep(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(Faulty, "faulty_deep", pretrained, depth=29, act=nn.Sigmoid, **kwargs)


@register_model
def faulty_blind(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(Blind, "faulty_blind", pretrained, **kwargs)


@dataclass(frozen=True)
class ShuffledDigits(Data):
    """The handwritten digits with one another's labels, in the training part and in val."""

    def load(self) -> Any:
        import numpy as np

        keys = {each.name: getattr(self, each.name) for each in fields(self)}
        data = Digits(**{**keys, "name": "digits"}).load()
        for number, part in enumerate((data.train, data.val, data.test)):
            if part is not None:
                np.random.default_rng(number).shuffle(part.labels)
        return data
