"""DenseNets for 32x32 images: each layer is given the maps of all before it.

Huang, Liu, van der Maaten and Weinberger, Densely connected convolutional networks, 2016 (arXiv:1608.06993).
"""

from functools import partial
from typing import Any

import torch
from timm.models import generate_default_cfgs, register_model
from torch import Tensor, nn

from cnntrain.models.base import Blocks, Net, Stage, build, default_cfg, he_init


def bn_relu_conv(ins: int, outs: int, kernel: int, drop_rate: float) -> nn.Sequential:
    """Dropout stands after every convolution but the first, at p = 0.2 where the data is not augmented."""
    conv = nn.Conv2d(ins, outs, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(nn.BatchNorm2d(ins), nn.ReLU(), conv, nn.Dropout(drop_rate))


class DenseLayer(nn.Module):
    """(N, C, H, W) to (N, C + growth, H, W): `growth` new maps behind those it was given.

    With a bottleneck, a 1x1 convolution to 4 * growth stands before the 3x3.
    """

    def __init__(self, ins: int, growth: int, bottleneck: bool, drop_rate: float):
        super().__init__()
        width = 4 * growth if bottleneck else ins
        reduce = [bn_relu_conv(ins, width, 1, drop_rate)] if bottleneck else []
        self.body = nn.Sequential(*reduce, bn_relu_conv(width, growth, 3, drop_rate))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.body(x)], 1)


class CifarDenseNet(Net):
    """A 3x3 convolution, three dense blocks of equal length, a transition (1x1, 2x2 means) between them.

    `bc`: bottlenecks, transitions that halve the channels, and 2 * growth channels to start with, not 16.
    `proj_drop_rate` is the dropout after the convolutions. Raises ValueError for a depth that the blocks cannot share.
    """

    def __init__(
        self,
        depth: int,
        growth: int = 12,
        bc: bool = False,
        num_classes: int = 10,
        in_chans: int = 3,
        drop_rate: float = 0.0,
        proj_drop_rate: float = 0.0,
        global_pool: str = "avg",
    ):
        count, rest = divmod(depth - 4, 6 if bc else 3)
        if rest or count < 1:
            raise ValueError(f"the depth of a CIFAR DenseNet is {'6n' if bc else '3n'} + 4, not {depth}")
        channels = 2 * growth if bc else 16
        stages = [Stage("stem", nn.Conv2d(in_chans, channels, 3, padding=1, bias=False), channels)]
        for index in range(1, 4):
            layers = (DenseLayer(channels + i * growth, growth, bc, proj_drop_rate) for i in range(count))
            block = Blocks(*layers)
            channels += count * growth
            stages.append(Stage(f"block{index}", block, channels))
            if index < 3:
                kept = channels // 2 if bc else channels
                transition = bn_relu_conv(channels, kept, 1, proj_drop_rate).append(nn.AvgPool2d(2))
                stages.append(Stage(f"transition{index}", transition, kept, 2))
                channels = kept
        stages.append(Stage("norm", nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU()), channels))
        super().__init__(
            stages, num_classes=num_classes, in_chans=in_chans, drop_rate=drop_rate, global_pool=global_pool
        )
        self.apply(he_init)


_CFG = default_cfg("stem", (3, 32, 32), 10, paper_ids="arXiv:1608.06993")
default_cfgs = generate_default_cfgs(dict.fromkeys(["densenet40", "densenetbc100"], _CFG))


@register_model
def densenet40(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(partial(CifarDenseNet, 40), "densenet40", pretrained, **kwargs)


@register_model
def densenetbc100(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(partial(CifarDenseNet, 100, bc=True), "densenetbc100", pretrained, **kwargs)
