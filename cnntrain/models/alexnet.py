"""AlexNet.

Krizhevsky, Sutskever and Hinton, ImageNet classification with deep convolutional neural networks, 2012.
"""

from collections import OrderedDict
from functools import partial
from typing import Any

from timm.models import generate_default_cfgs, register_model
from torch import nn

from cnntrain.models.base import Stage, build, default_cfg
from cnntrain.models.parts import FlatNet, response_norm

# The paper says 224x224, from which its 55x55 maps do not follow; 227x227 gives them.
_CFG = default_cfg(
    "conv1.conv",
    (3, 227, 227),
    1000,
    fixed_input_size=True,
    paper_name="ImageNet classification with deep convolutional neural networks",
)
default_cfgs = generate_default_cfgs(dict.fromkeys(["alexnet", "alexnet_ungrouped"], _CFG))


class AlexNet(FlatNet):
    """The net of 2012: response normalisation after the first two convolutions, overlapping pools.

    `groups=2`: the second, fourth and fifth convolution see only the maps of their own GPU. `norm_first=False`
    pools before it normalises, as Caffe's later variant of the net does.
    Raises ValueError for images too small to leave a map to flatten.
    """

    def __init__(
        self,
        groups: int = 2,
        num_classes: int = 1000,
        in_chans: int = 3,
        drop_rate: float = 0.5,
        img_size: int | tuple[int, int] = 227,
        norm_first: bool = True,
        hidden_size: int = 4096,
    ):
        stages = [
            Stage("conv1", _stage(nn.Conv2d(in_chans, 96, 11, 4), True, True, norm_first), 96, 8),
            Stage("conv2", _stage(nn.Conv2d(96, 256, 5, 1, 2, groups=groups), True, True, norm_first), 256, 2),
            Stage("conv3", _stage(nn.Conv2d(256, 384, 3, 1, 1)), 384),
            Stage("conv4", _stage(nn.Conv2d(384, 384, 3, 1, 1, groups=groups)), 384),
            Stage("conv5", _stage(nn.Conv2d(384, 256, 3, 1, 1, groups=groups), pool=True), 256, 2),
        ]
        super().__init__(stages, img_size, hidden_size, num_classes=num_classes, in_chans=in_chans, drop_rate=drop_rate)
        # section 5: ones give the rectifiers of these layers positive inputs from the start
        for name in ("conv2", "conv4", "conv5", "hidden"):
            for module in self.get_submodule(name).modules():
                if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
                    nn.init.ones_(module.bias)


def _stage(conv: nn.Conv2d, norm: bool = False, pool: bool = False, norm_first: bool = True) -> nn.Sequential:
    """Convolution, ReLU, and what follows of response normalisation and a 3x3 max-pool of stride 2."""
    after = [("norm", response_norm())] * norm + [("pool", nn.MaxPool2d(3, 2))] * pool
    return nn.Sequential(OrderedDict([("conv", conv), ("act", nn.ReLU()), *(after if norm_first else after[::-1])]))


@register_model
def alexnet(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(partial(AlexNet, 2), "alexnet", pretrained, **kwargs)


@register_model
def alexnet_ungrouped(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(partial(AlexNet, 1), "alexnet_ungrouped", pretrained, **kwargs)
