"""Network in network.

Lin, Chen and Yan, Network in network, 2013 (arXiv:1312.4400).
"""

from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from timm.models import generate_default_cfgs, register_model
from torch import Tensor, nn

from cnntrain.models.base import Blocks, Net, Stage, build, default_cfg, he_init
from cnntrain.models.parts import conv_relu

default_cfgs = generate_default_cfgs(
    {
        "nin": default_cfg("mlpconv1.0.conv", (3, 224, 224), 1000, paper_ids="arXiv:1312.4400"),
        "nin_cifar": default_cfg("mlpconv1.0.conv", (3, 32, 32), 10, paper_ids="arXiv:1312.4400"),
    }
)


def mlpconv(
    ins: int,
    widths: Sequence[int],
    kernel: int,
    stride: int = 1,
    padding: int | None = None,
    pool: nn.Module | None = None,
    drop_rate: float | None = None,
) -> Blocks:
    """A convolution, then 1x1 convolutions: a small perceptron that slides over the map; ReLU after each.

    `drop_rate`: dropout before it (None: no such layer); `pool` closes it.
    """
    first = conv_relu(ins, widths[0], kernel, stride, padding)
    if drop_rate is not None:
        first = nn.Sequential(OrderedDict(drop=nn.Dropout(drop_rate), **dict(first.named_children())))
    blocks = [first, *(conv_relu(a, b, 1) for a, b in pairwise(widths))]
    if pool is not None:
        blocks[-1].add_module("pool", pool)
    return Blocks(*blocks)


class NiN(Net):
    """A map per class from the last 1x1 convolution, whose means are the logits: no fully connected layer.

    Dropout stands between the stages, where the paper has it, and not before the classifier. The paper leaves
    the initialisation open: He's.
    """

    def __init__(self, stages: Sequence[Stage], *, drop_rate: float, **more: Any):
        super().__init__(stages, drop_rate=drop_rate, **more)
        self.head_drop = nn.Dropout(0.0)
        self.apply(he_init)

    def make_classifier(self, num_classes: int) -> nn.Module:
        if self.head_hidden_size != self.num_features:
            raise ValueError("two pools in one would make two logits of each class's map")
        return nn.Conv2d(self.num_features, num_classes, 1).apply(he_init)

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """A feature map to logits, or to the (N, head_hidden_size) that is left without a classifier."""
        return self.global_pool(x if pre_logits else self.classifier(x).relu())


class ImageNetNiN(NiN):
    """The authors' net for 224x224 images, which the paper does not describe: AlexNet's sizes, four stages.

    It takes images from 39x39 pixels on.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        in_chans: int = 3,
        drop_rate: float = 0.5,
        global_pool: str = "avg",
    ):
        stages = [
            Stage("mlpconv1", mlpconv(in_chans, (96, 96, 96), 11, 4, 0, _pool()), 96, 8),
            Stage("mlpconv2", mlpconv(96, (256, 256, 256), 5, pool=_pool()), 256, 2),
            Stage("mlpconv3", mlpconv(256, (384, 384, 384), 3, pool=_pool()), 384, 2),
            Stage("mlpconv4", mlpconv(384, (1024, 1024), 3, drop_rate=drop_rate), 1024),
        ]
        super().__init__(
            stages, num_classes=num_classes, in_chans=in_chans, drop_rate=drop_rate, global_pool=global_pool
        )


class CifarNiN(NiN):
    """The paper's net for 32x32 images, three stages."""

    def __init__(
        self,
        num_classes: int = 10,
        in_chans: int = 3,
        drop_rate: float = 0.5,
        global_pool: str = "avg",
    ):
        largest, mean = _pool(), nn.AvgPool2d(3, 2, ceil_mode=True)
        stages = [
            Stage("mlpconv1", mlpconv(in_chans, (192, 160, 96), 5, pool=largest), 96, 2),
            Stage("mlpconv2", mlpconv(96, (192, 192, 192), 5, pool=mean, drop_rate=drop_rate), 192, 2),
            Stage("mlpconv3", mlpconv(192, (192, 192), 3, drop_rate=drop_rate), 192),
        ]
        super().__init__(
            stages, num_classes=num_classes, in_chans=in_chans, drop_rate=drop_rate, global_pool=global_pool
        )


def _pool() -> nn.MaxPool2d:
    """As in Caffe, the net of the authors, the last window may reach over the rim."""
    return nn.MaxPool2d(3, 2, ceil_mode=True)


@register_model
def nin(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(ImageNetNiN, "nin", pretrained, **kwargs)


@register_model
def nin_cifar(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(CifarNiN, "nin_cifar", pretrained, **kwargs)
