"""Highway networks: a gate decides how much of each layer's input passes through unchanged.

Srivastava, Greff and Schmidhuber, Training very deep networks, 2015 (arXiv:1507.06228).
"""

from typing import Any

import torch
from timm.models import generate_default_cfgs, register_model
from torch import Tensor, nn

from cnntrain.models.base import Blocks, Net, Stage, build, default_cfg

TRANSFORM_BIAS = -2.0  # at first a gate lets through sigmoid(2) = 88% of the input


class Highway(nn.Module):
    """y = H(x) T(x) + x (1 - T(x)), with H a convolution and ReLU, T a convolution and sigmoid."""

    def __init__(self, channels: int):
        super().__init__()
        self.transform = nn.Conv2d(channels, channels, 3, padding=1)
        self.act = nn.ReLU()
        self.gate = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        gate = torch.sigmoid(self.gate(x))
        return self.act(self.transform(x)) * gate + x * (1 - gate)


def xavier_init(module: nn.Module) -> None:
    """For `Module.apply`: convolutions from Glorot and Bengio's uniform distribution, biases 0, gates closed."""
    if isinstance(module, nn.Conv2d):
        nn.init.xavier_uniform_(module.weight)
        assert module.bias is not None
        nn.init.zeros_(module.bias)
    elif isinstance(module, Highway):  # after its own convolutions
        assert module.gate.bias is not None
        nn.init.constant_(module.gate.bias, TRANSFORM_BIAS)


class HighwayNet(Net):
    """19 layers for 32x32 images: three blocks of a convolution and highway layers, a 1x1 convolution, the classifier.

    `drop_rate` is that of every dropout: on the image, after both pools, before the classifier.
    """

    def __init__(self, num_classes: int = 10, in_chans: int = 3, drop_rate: float = 0.2, global_pool: str = "avg"):
        def block(ins: int, outs: int, count: int, *before: nn.Module) -> Blocks:
            conv = nn.Conv2d(ins, outs, 3, padding=1)
            first = nn.Sequential(*before, nn.Dropout(drop_rate))
            first.add_module("conv", conv)
            first.add_module("act", nn.ReLU())
            return Blocks(first, *(Highway(outs) for _ in range(count)))

        last = nn.Sequential(nn.Conv2d(128, 100, 1), nn.ReLU())
        super().__init__(
            [
                Stage("block1", block(in_chans, 32, 4), 32),
                Stage("block2", block(32, 80, 5, nn.MaxPool2d(2)), 80, 2),
                Stage("block3", block(80, 128, 5, nn.MaxPool2d(2)), 128, 2),
                Stage("last", last, 100),
            ],
            num_classes=num_classes,
            in_chans=in_chans,
            drop_rate=drop_rate,
            global_pool=global_pool,
        )
        self.apply(xavier_init)


default_cfgs = generate_default_cfgs(
    {"highway19": default_cfg("block1.0.conv", (3, 32, 32), 10, paper_ids="arXiv:1507.06228")}
)


@register_model
def highway19(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(HighwayNet, "highway19", pretrained, **kwargs)
