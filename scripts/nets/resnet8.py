"""The smallest of the CIFAR ResNets: one block a stage, eight layers; for scripts that train several within minutes."""

from functools import partial
from typing import Any

from timm.models import generate_default_cfgs, register_model
from torch import nn

from cnntrain.models.base import build, default_cfg
from cnntrain.models.cifar_resnet import CifarResNet

default_cfgs = generate_default_cfgs({"resnet8": default_cfg("stem.conv", (3, 32, 32), 10)})


@register_model
def resnet8(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(partial(CifarResNet, 8), "resnet8", pretrained, **kwargs)
