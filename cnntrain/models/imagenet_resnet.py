"""Residual nets for ImageNet as the paper draws them, which timm's are not, and their plain counterparts.

He, Zhang, Ren and Sun, Deep residual learning for image recognition, 2015 (arXiv:1512.03385), section 4.1.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from timm.models import generate_default_cfgs, register_model
from torch import Tensor, nn

from cnntrain.models.base import Blocks, Net, Stage, build, conv_bn_relu, default_cfg, he_init
from cnntrain.models.cifar_resnet import basic_blocks, make_shortcut


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions, the last four times as wide.

    The stride is in the first one, as in 2015: fewer multiply-adds than with it in the 3x3, as timm and
    torchvision have it, but three of four pixels are never looked at.
    """

    expansion = 4

    def __init__(self, ins: int, width: int, stride: int = 1, shortcut: str = "B"):
        super().__init__()
        outs = width * self.expansion
        self.conv1 = nn.Conv2d(ins, width, 1, stride, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.act1 = nn.ReLU()
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.act2 = nn.ReLU()
        self.conv3 = nn.Conv2d(width, outs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outs)
        self.shortcut = make_shortcut(shortcut, ins, outs, stride)
        self.act3 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        out = self.act1(self.bn1(self.conv1(x)))
        out = self.act2(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        if self.shortcut is not None:
            out = out + self.shortcut(x)
        return self.act3(out)


def bottlenecks(count: int, ins: int, outs: int, stride: int, shortcut: str) -> Blocks:
    """A stage: the first block changes the shape, the others keep it."""
    width = outs // Bottleneck.expansion
    first = Bottleneck(ins, width, stride, shortcut)
    return Blocks(first, *(Bottleneck(outs, width, 1, shortcut) for _ in range(count - 1)))


class ImageNetResNet(Net):
    """A 7x7 convolution and a pool, four stages of `counts` blocks, the classifier.

    Raises ValueError for a shortcut other than A, B, C and none.
    """

    def __init__(
        self,
        counts: Sequence[int],
        shortcut: str = "A",
        bottleneck: bool = False,
        num_classes: int = 1000,
        in_chans: int = 3,
        drop_rate: float = 0.0,
        global_pool: str = "avg",
    ):
        make, expansion = (bottlenecks, Bottleneck.expansion) if bottleneck else (basic_blocks, 1)
        stem = conv_bn_relu(in_chans, 64, 7, 2)
        stem.add_module("pool", nn.MaxPool2d(3, 2, 1))
        stages, ins = [Stage("stem", stem, 64, 4)], 64
        for index, count in enumerate(counts):
            outs, stride = 64 * expansion * 2**index, 2 if index else 1
            stages.append(Stage(f"stage{index + 1}", make(count, ins, outs, stride, shortcut), outs, stride))
            ins = outs
        super().__init__(
            stages, num_classes=num_classes, in_chans=in_chans, drop_rate=drop_rate, global_pool=global_pool
        )
        self.apply(he_init)


_CFG = default_cfg("stem.conv", (3, 224, 224), 1000, paper_ids="arXiv:1512.03385")
_NAMES = ["plain18", "plain34", "resnet18a", "resnet34a", "resnet50_2015"]
default_cfgs = generate_default_cfgs(dict.fromkeys(_NAMES, _CFG))
_COUNTS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}


@register_model
def plain18(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(partial(ImageNetResNet, _COUNTS[18], "none"), "plain18", pretrained, **kwargs)


@register_model
def plain34(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(partial(ImageNetResNet, _COUNTS[34], "none"), "plain34", pretrained, **kwargs)


@register_model
def resnet18a(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(partial(ImageNetResNet, _COUNTS[18]), "resnet18a", pretrained, **kwargs)


@register_model
def resnet34a(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(partial(ImageNetResNet, _COUNTS[34]), "resnet34a", pretrained, **kwargs)


@register_model
def resnet50_2015(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    net = partial(ImageNetResNet, _COUNTS[50], shortcut="B", bottleneck=True)
    return build(net, "resnet50_2015", pretrained, **kwargs)
