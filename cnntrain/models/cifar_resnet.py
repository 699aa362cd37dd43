"""Residual nets for 32x32 images and their plain counterparts.

He, Zhang, Ren and Sun, Deep residual learning for image recognition, 2015 (arXiv:1512.03385), section 4.2.
"""

from functools import partial
from typing import Any

import torch.nn.functional as F
from timm.models import generate_default_cfgs, register_model
from torch import Tensor, nn

from cnntrain.models.base import Blocks, Net, Stage, build, conv_bn_relu, default_cfg, he_init
from cnntrain.models.parts import exchange_acts

SHORTCUTS = ("A", "B", "C", "none")


class ZeroPad(nn.Module):
    """Option A's shortcut, free of parameters: every stride-th pixel, with channels of zeros behind its own.

    (N, C, H, W) to (N, C + extra, ceil(H / stride), ceil(W / stride))
    """

    def __init__(self, extra: int, stride: int):
        super().__init__()
        self.extra, self.stride = extra, stride

    def forward(self, x: Tensor) -> Tensor:
        every = F.avg_pool2d(x, 1, self.stride)  # the gradient of x[:, :, ::stride, ::stride] loses the memory format
        return F.pad(every, (0, 0, 0, 0, 0, self.extra))

    def extra_repr(self) -> str:
        return f"extra={self.extra}, stride={self.stride}"


def make_shortcut(option: str, ins: int, outs: int, stride: int) -> nn.Module | None:
    """What joins a block's input to its output. "A": identity, zero-padded where the shape changes; "B":
    identity, a 1x1 projection where it changes; "C": always a projection; "none": nothing (the plain net).

    Raises ValueError for another option.
    """
    if option not in SHORTCUTS:
        raise ValueError(f"shortcut must be one of {', '.join(SHORTCUTS)}, not {option!r}")
    if option == "none":
        return None
    changes = ins != outs or stride != 1
    if option == "C" or (option == "B" and changes):
        return nn.Sequential(nn.Conv2d(ins, outs, 1, stride, bias=False), nn.BatchNorm2d(outs))
    return ZeroPad(outs - ins, stride) if changes else nn.Identity()


class BasicBlock(nn.Module):
    """Two 3x3 convolutions, the shortcut added before the last ReLU."""

    def __init__(self, ins: int, outs: int, stride: int = 1, shortcut: str = "A"):
        super().__init__()
        self.conv1 = nn.Conv2d(ins, outs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outs)
        self.act1 = nn.ReLU()
        self.conv2 = nn.Conv2d(outs, outs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outs)
        self.shortcut = make_shortcut(shortcut, ins, outs, stride)
        self.act2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        out = self.act1(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.shortcut is not None:
            out = out + self.shortcut(x)
        return self.act2(out)


def basic_blocks(count: int, ins: int, outs: int, stride: int, shortcut: str) -> Blocks:
    """A stage: the first block changes the shape, the others keep it."""
    first = BasicBlock(ins, outs, stride, shortcut)
    return Blocks(first, *(BasicBlock(outs, outs, 1, shortcut) for _ in range(count - 1)))


class CifarResNet(Net):
    """6n + 2 layers: a 3x3 convolution, three stages of n blocks at 16, 32 and 64 channels, the classifier.

    `act` takes the place of the paper's ReLU, for comparisons.

    Raises ValueError for a depth that is not of this form, an unknown shortcut or activation.
    """

    def __init__(
        self,
        depth: int,
        shortcut: str = "A",
        num_classes: int = 10,
        in_chans: int = 3,
        drop_rate: float = 0.0,
        global_pool: str = "avg",
        act: str = "relu",
    ):
        count, rest = divmod(depth - 2, 6)
        if rest or count < 1:
            raise ValueError(f"the depth of a CIFAR ResNet is 6n + 2, not {depth}")
        super().__init__(
            [
                Stage("stem", conv_bn_relu(in_chans, 16), 16),
                Stage("stage1", basic_blocks(count, 16, 16, 1, shortcut), 16),
                Stage("stage2", basic_blocks(count, 16, 32, 2, shortcut), 32, 2),
                Stage("stage3", basic_blocks(count, 32, 64, 2, shortcut), 64, 2),
            ],
            num_classes=num_classes,
            in_chans=in_chans,
            drop_rate=drop_rate,
            global_pool=global_pool,
        )
        self.apply(he_init)
        exchange_acts(self, act)


_CFG = default_cfg("stem.conv", (3, 32, 32), 10, paper_ids="arXiv:1512.03385")
_RESNETS = [f"resnet{depth}" for depth in (20, 32, 44, 56, 110, 1202)]
_PLAIN = [f"plain{depth}" for depth in (20, 32, 44, 56, 110)]
default_cfgs = generate_default_cfgs(dict.fromkeys(_RESNETS + _PLAIN, _CFG))


@register_model
def resnet20(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(partial(CifarResNet, 20), "resnet20", pretrained, **kwargs)


@register_model
def resnet32(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(partial(CifarResNet, 32), "resnet32", pretrained, **kwargs)


@register_model
def resnet44(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(partial(CifarResNet, 44), "resnet44", pretrained, **kwargs)


@register_model
def resnet56(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(partial(CifarResNet, 56), "resnet56", pretrained, **kwargs)


@register_model
def resnet110(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(partial(CifarResNet, 110), "resnet110", pretrained, **kwargs)


@register_model
def resnet1202(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(partial(CifarResNet, 1202), "resnet1202", pretrained, **kwargs)


@register_model
def plain20(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(partial(CifarResNet, 20, "none"), "plain20", pretrained, **kwargs)


@register_model
def plain32(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(partial(CifarResNet, 32, "none"), "plain32", pretrained, **kwargs)


@register_model
def plain44(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(partial(CifarResNet, 44, "none"), "plain44", pretrained, **kwargs)


@register_model
def plain56(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(partial(CifarResNet, 56, "none"), "plain56", pretrained, **kwargs)


@register_model
def plain110(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(partial(CifarResNet, 110, "none"), "plain110", pretrained, **kwargs)
