"""Inception with batch normalisation.

Ioffe and Szegedy, Batch normalization: accelerating deep network training by reducing internal covariate
shift, 2015 (arXiv:1502.03167), figure 5.
"""

from collections import OrderedDict
from typing import Any

from timm.models import generate_default_cfgs, register_model
from torch import nn

from cnntrain.models.base import Net, Stage, build, conv_bn_relu, default_cfg, he_init
from cnntrain.models.parts import Branches, branches

# 1x1 | 3x3 reduced, 3x3 | two 3x3 reduced, each of them | pool, its projection; 0: no such layer, stride 2
MODULES: dict[str, tuple[int, int, int, int, int, str, int]] = {
    "3a": (64, 64, 64, 64, 96, "avg", 32),
    "3b": (64, 64, 96, 64, 96, "avg", 64),
    "3c": (0, 128, 160, 64, 96, "max", 0),
    "4a": (224, 64, 96, 96, 128, "avg", 128),
    "4b": (192, 96, 128, 96, 128, "avg", 128),
    "4c": (160, 128, 160, 128, 160, "avg", 96),
    "4d": (96, 128, 192, 160, 192, "avg", 96),
    "4e": (0, 128, 192, 192, 256, "max", 0),
    "5a": (352, 192, 320, 160, 224, "avg", 128),
    "5b": (352, 192, 320, 192, 224, "max", 128),
}
_CFG = default_cfg("conv1.conv", (3, 224, 224), 1000, paper_ids="arXiv:1502.03167")
default_cfgs = generate_default_cfgs({"bn_inception": _CFG})


def inception(
    ins: int, ones: int, reduce3: int, threes: int, reduce33: int, double: int, pool: str, project: int
) -> Branches:
    """(N, ins, H, W) to (N, ones + threes + double + project, H, W); without `ones` and `project` to (N, threes +
    double + ins, ceil(H / 2), ceil(W / 2)). Two 3x3 convolutions stand where GoogLeNet has one of 5x5."""
    stride = 1 if ones else 2
    parts: dict[str, nn.Module] = {"conv1": conv_bn_relu(ins, ones, 1)} if ones else {}
    parts["conv3"] = nn.Sequential(
        OrderedDict(reduce=conv_bn_relu(ins, reduce3, 1), conv=conv_bn_relu(reduce3, threes, 3, stride))
    )
    parts["double3"] = nn.Sequential(
        OrderedDict(
            reduce=conv_bn_relu(ins, reduce33, 1),
            conv1=conv_bn_relu(reduce33, double, 3),
            conv2=conv_bn_relu(double, double, 3, stride),
        )
    )
    # the padding is no part of the mean: a constant map stays constant up to its rim
    mean = nn.AvgPool2d(3, stride, 1, count_include_pad=False)
    pooling = nn.Sequential(OrderedDict(pool=mean if pool == "avg" else nn.MaxPool2d(3, stride, 1)))
    if project:
        pooling.add_module("project", conv_bn_relu(ins, project, 1))
    return branches(**parts, pool=pooling)


class BNInception(Net):
    """Ten Inception modules, batch normalisation behind every convolution, no dropout by default.

    "Inception v2" in TensorFlow's zoo, there with a separable first layer. The paper names no initialisation: He's.
    """

    def __init__(self, num_classes: int = 1000, in_chans: int = 3, drop_rate: float = 0.0, global_pool: str = "avg"):
        super().__init__(
            _stages(in_chans),
            num_classes=num_classes,
            in_chans=in_chans,
            drop_rate=drop_rate,
            global_pool=global_pool,
        )
        self.apply(he_init)


def _stages(in_chans: int) -> list[Stage]:
    conv1 = conv_bn_relu(in_chans, 64, 7, 2)
    conv1.add_module("pool", nn.MaxPool2d(3, 2, 1))
    conv2 = nn.Sequential(
        OrderedDict(reduce=conv_bn_relu(64, 64, 1), conv=conv_bn_relu(64, 192, 3), pool=nn.MaxPool2d(3, 2, 1))
    )
    stages, ins = [Stage("conv1", conv1, 64, 4), Stage("conv2", conv2, 192, 2)], 192
    for name, widths in MODULES.items():
        ones, _, threes, _, double, _, project = widths
        module = inception(ins, *widths)
        ins = ones + threes + double + (project or ins)
        stages.append(Stage(f"inception{name}", module, ins, 1 if ones else 2))
    return stages


@register_model
def bn_inception(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(BNInception, "bn_inception", pretrained, **kwargs)
