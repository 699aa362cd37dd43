"""ZFNet, the winner of ILSVRC 2013.

Zeiler and Fergus, Visualizing and understanding convolutional networks, 2013 (arXiv:1311.2901).
"""

from collections import OrderedDict
from functools import partial
from typing import Any

from timm.models import generate_default_cfgs, register_model
from torch import nn

from cnntrain.models.base import Stage, build, default_cfg
from cnntrain.models.parts import FlatNet, conv_relu, response_norm

_CFG = default_cfg("conv1.conv", (3, 224, 224), 1000, fixed_input_size=True, paper_ids="arXiv:1311.2901")
default_cfgs = generate_default_cfgs(dict.fromkeys(["zfnet", "zfnet_wide"], _CFG))


class ZFNet(FlatNet):
    """AlexNet with a finer first layer: 7x7 windows of stride 2. The maps are 110, 55, 26, 13 and 6 pixels wide.

    `widths` are the channels of the third, fourth and fifth convolution. The paper also scales filters back whose root
    mean square has grown beyond 0.1, in training on pixels of up to 128: on normalised images that is left out.
    Raises ValueError for images too small to leave a map to flatten.
    """

    def __init__(
        self,
        widths: tuple[int, int, int] = (384, 384, 256),
        num_classes: int = 1000,
        in_chans: int = 3,
        drop_rate: float = 0.5,
        img_size: int | tuple[int, int] = 224,
        hidden_size: int = 4096,
    ):
        third, fourth, fifth = widths
        last = nn.Sequential(OrderedDict(**_named(conv_relu(fourth, fifth, 3)), pool=nn.MaxPool2d(3, 2)))
        stages = [
            Stage("conv1", _normed(conv_relu(in_chans, 96, 7, 2, 1)), 96, 4),
            Stage("conv2", _normed(conv_relu(96, 256, 5, 2, 0)), 256, 4),
            Stage("conv3", conv_relu(256, third, 3), third),
            Stage("conv4", conv_relu(third, fourth, 3), fourth),
            Stage("conv5", last, fifth, 2),
        ]
        super().__init__(stages, img_size, hidden_size, num_classes=num_classes, in_chans=in_chans, drop_rate=drop_rate)


def _normed(conv: nn.Sequential) -> nn.Sequential:
    return nn.Sequential(OrderedDict(**_named(conv), pool=nn.MaxPool2d(3, 2, 1), norm=response_norm()))


def _named(conv: nn.Sequential) -> dict[str, nn.Module]:
    return dict(conv.named_children())


@register_model
def zfnet(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(ZFNet, "zfnet", pretrained, **kwargs)


@register_model
def zfnet_wide(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(partial(ZFNet, (512, 1024, 512)), "zfnet_wide", pretrained, **kwargs)
