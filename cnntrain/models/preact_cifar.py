"""Residual nets for 32x32 images that normalise before each convolution: pre-activation and wide nets.

He, Zhang, Ren and Sun, Identity mappings in deep residual networks, 2016 (arXiv:1603.05027);
Zagoruyko and Komodakis, Wide residual networks, 2016 (arXiv:1605.07146).
"""

from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any

from timm.models import generate_default_cfgs, register_model
from torch import Tensor, nn

from cnntrain.models.base import Blocks, Net, Stage, build, default_cfg, he_init


def bn_relu(channels: int) -> nn.Sequential:
    return nn.Sequential(OrderedDict(bn=nn.BatchNorm2d(channels), act=nn.ReLU()))


class PreActUnit(nn.Module):
    """Convolutions of the sizes `kernels`, each after a norm and a ReLU; the first one has the stride.

    `widths` begins with the unit's input. Where input and output differ, the 1x1 projection of the shortcut
    takes the normalised input, which it shares with the first convolution. Dropout stands before the last.
    """

    def __init__(self, widths: Sequence[int], kernels: Sequence[int], stride: int = 1, drop_rate: float = 0.0):
        super().__init__()
        ins, outs = widths[0], widths[-1]
        self.norm = bn_relu(ins)
        layers: list[nn.Module] = []
        for index, (kernel, (before, after)) in enumerate(zip(kernels, pairwise(widths), strict=True)):
            if index:
                layers.append(bn_relu(before))
            if index == len(kernels) - 1:
                layers.append(nn.Dropout(drop_rate))
            layers.append(nn.Conv2d(before, after, kernel, 1 if index else stride, kernel // 2, bias=False))
        self.body = nn.Sequential(*layers)
        self.shortcut = nn.Conv2d(ins, outs, 1, stride, bias=False) if ins != outs else None

    def forward(self, x: Tensor) -> Tensor:
        out = self.norm(x)
        if self.shortcut is not None:
            x = self.shortcut(out)
        return x + self.body(out)


class PreActNet(Net):
    """A 3x3 convolution to 16 channels, three stages of `count` units, a last norm, the classifier.

    `proj_drop_rate` is the dropout within the units.
    """

    def __init__(
        self,
        count: int,
        widths: Sequence[int],
        bottleneck: bool,
        num_classes: int = 10,
        in_chans: int = 3,
        drop_rate: float = 0.0,
        proj_drop_rate: float = 0.0,
        global_pool: str = "avg",
    ):
        def unit(ins: int, outs: int, stride: int) -> PreActUnit:
            if bottleneck:
                return PreActUnit((ins, outs // 4, outs // 4, outs), (1, 3, 1), stride, proj_drop_rate)
            return PreActUnit((ins, outs, outs), (3, 3), stride, proj_drop_rate)

        stages, ins = [Stage("stem", nn.Conv2d(in_chans, 16, 3, padding=1, bias=False), 16)], 16
        for index, outs in enumerate(widths):
            stride = 2 if index else 1
            blocks = Blocks(unit(ins, outs, stride), *(unit(outs, outs, 1) for _ in range(count - 1)))
            stages.append(Stage(f"stage{index + 1}", blocks, outs, stride))
            ins = outs
        stages.append(Stage("norm", bn_relu(ins), ins))
        super().__init__(
            stages, num_classes=num_classes, in_chans=in_chans, drop_rate=drop_rate, global_pool=global_pool
        )
        self.apply(he_init)


def preact_resnet(depth: int, **kwargs: Any) -> PreActNet:
    """9n + 2 layers in bottlenecks. Raises ValueError for a depth that is not of this form."""
    count, rest = divmod(depth - 2, 9)
    if rest or count < 1:
        raise ValueError(f"the depth of a pre-activation CIFAR ResNet is 9n + 2, not {depth}")
    return PreActNet(count, (64, 128, 256), True, **kwargs)


def wide_resnet(depth: int, widening: int, **kwargs: Any) -> PreActNet:
    """6n + 4 layers in pairs of 3x3 convolutions, `widening` times as many channels as a ResNet for CIFAR has.

    Raises ValueError for a depth that is not of this form.
    """
    count, rest = divmod(depth - 4, 6)
    if rest or count < 1:
        raise ValueError(f"the depth of a wide ResNet is 6n + 4, not {depth}")
    return PreActNet(count, (16 * widening, 32 * widening, 64 * widening), False, **kwargs)


_PREACT = default_cfg("stem", (3, 32, 32), 10, paper_ids="arXiv:1603.05027")
_WIDE = default_cfg("stem", (3, 32, 32), 10, paper_ids="arXiv:1605.07146")
default_cfgs = generate_default_cfgs(dict.fromkeys(["preactresnet164", "preactresnet1001"], _PREACT))
default_cfgs |= generate_default_cfgs(dict.fromkeys(["wrn16_4", "wrn16_8", "wrn28_10", "wrn40_4"], _WIDE))


@register_model
def preactresnet164(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(partial(preact_resnet, 164), "preactresnet164", pretrained, **kwargs)


@register_model
def preactresnet1001(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(partial(preact_resnet, 1001), "preactresnet1001", pretrained, **kwargs)


@register_model
def wrn16_4(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(partial(wide_resnet, 16, 4), "wrn16_4", pretrained, **kwargs)


@register_model
def wrn16_8(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(partial(wide_resnet, 16, 8), "wrn16_8", pretrained, **kwargs)


@register_model
def wrn28_10(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(partial(wide_resnet, 28, 10), "wrn28_10", pretrained, **kwargs)


@register_model
def wrn40_4(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(partial(wide_resnet, 40, 4), "wrn40_4", pretrained, **kwargs)
