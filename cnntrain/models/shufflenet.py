"""ShuffleNet: 1x1 convolutions in groups, between which a channel shuffle carries what the groups know.

Zhang, Zhou, Lin and Sun, ShuffleNet: an extremely efficient convolutional neural network for mobile devices,
2017 (arXiv:1707.01083).
"""

from functools import partial
from typing import Any

import torch
from timm.models import generate_default_cfgs, register_model
from torch import Tensor, nn

from cnntrain.models.base import Blocks, Net, Stage, build, conv_bn_relu, default_cfg

# groups to the channels of stage 2, which double in each of the next two: about 140M multiply-adds each
WIDTHS = {1: 144, 2: 200, 3: 240, 4: 272, 8: 384}
UNITS = (4, 8, 4)


class ShuffleUnit(nn.Module):
    """Grouped 1x1 to a quarter of `outs`, shuffle, depthwise 3x3, grouped 1x1.

    At stride 1 the input is added; at stride 2 its 3x3 means are concatenated in front, and the unit computes
    the `outs` - `ins` channels behind them. `first_groups` are the groups of the first convolution.
    """

    def __init__(self, ins: int, outs: int, groups: int, first_groups: int, stride: int = 1):
        super().__init__()
        width, own = outs // 4, outs - ins if stride == 2 else outs
        self.conv1 = nn.Conv2d(ins, width, 1, groups=first_groups, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.act1 = nn.ReLU()
        self.shuffle = nn.ChannelShuffle(groups)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, groups=width, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, own, 1, groups=groups, bias=False)
        self.bn3 = nn.BatchNorm2d(own)
        self.pool = nn.AvgPool2d(3, 2, 1) if stride == 2 else None
        self.act3 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        out = self.shuffle(self.act1(self.bn1(self.conv1(x))))
        out = self.bn3(self.conv3(self.bn2(self.conv2(out))))
        if self.pool is None:
            return self.act3(x + out)
        return self.act3(torch.cat([self.pool(x), out], 1))


def he_init(module: nn.Module) -> None:
    """For `Module.apply`: He's, by the inputs that a grouped convolution really has."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")


class ShuffleNet(Net):
    """A strided 3x3 convolution to 24 channels and a pool, three stages of shuffle units, the classifier.

    Raises ValueError for a number of groups that the paper has no widths for.
    """

    def __init__(
        self,
        groups: int = 3,
        num_classes: int = 1000,
        in_chans: int = 3,
        drop_rate: float = 0.0,
        global_pool: str = "avg",
    ):
        if groups not in WIDTHS:
            raise ValueError(f"groups must be one of {', '.join(map(str, WIDTHS))}, not {groups}")
        stem = conv_bn_relu(in_chans, 24, stride=2)
        stem.add_module("pool", nn.MaxPool2d(3, 2, 1))
        stages, ins = [Stage("stem", stem, 24, 4)], 24
        for index, count in enumerate(UNITS):
            outs = WIDTHS[groups] * 2**index
            # the stem's 24 channels are too few to be grouped
            first = ShuffleUnit(ins, outs, groups, groups if index else 1, 2)
            units = (ShuffleUnit(outs, outs, groups, groups) for _ in range(count - 1))
            stages.append(Stage(f"stage{index + 2}", Blocks(first, *units), outs, 2))
            ins = outs
        super().__init__(
            stages, num_classes=num_classes, in_chans=in_chans, drop_rate=drop_rate, global_pool=global_pool
        )
        self.apply(he_init)


_CFG = default_cfg("stem.conv", (3, 224, 224), 1000, paper_ids="arXiv:1707.01083")
default_cfgs = generate_default_cfgs({f"shufflenet_g{groups}": _CFG for groups in WIDTHS})


@register_model
def shufflenet_g1(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(partial(ShuffleNet, 1), "shufflenet_g1", pretrained, **kwargs)


@register_model
def shufflenet_g2(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(partial(ShuffleNet, 2), "shufflenet_g2", pretrained, **kwargs)


@register_model
def shufflenet_g3(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(partial(ShuffleNet, 3), "shufflenet_g3", pretrained, **kwargs)


@register_model
def shufflenet_g4(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(partial(ShuffleNet, 4), "shufflenet_g4", pretrained, **kwargs)


@register_model
def shufflenet_g8(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(partial(ShuffleNet, 8), "shufflenet_g8", pretrained, **kwargs)
