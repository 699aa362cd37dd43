"""Another normalisation in the place of each batch norm, as Wu and He 2018 (arXiv:1803.08494) compare them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from timm.layers import BatchNormAct2d
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from cnntrain.core.errors import ConfigError
from cnntrain.models.parts import response_norm

GROUP = 8  # channels of a group norm's group, at least
KEPT = "batch"
# from the number of channels and what is added to the variance
NORMS: dict[str, Callable[[int, float], nn.Module]] = {
    KEPT: nn.BatchNorm2d,
    # of a map it is over all of it, as the paper has it
    "layer": lambda channels, eps: nn.GroupNorm(1, channels, eps),
    "instance": lambda channels, eps: nn.InstanceNorm2d(channels, eps, affine=True),
    "group": lambda channels, eps: nn.GroupNorm(groups(channels), channels, eps),
    "local": lambda channels, eps: response_norm(),
    "none": lambda channels, eps: nn.Identity(),
}


def groups(channels: int) -> int:
    """The most groups that are equally large and have `GROUP` channels or more; one where there are fewer channels."""
    return next(count for count in range(max(1, channels // GROUP), 0, -1) if channels % count == 0)


def exchange(net: nn.Module, norm: str) -> None:
    """Put `norm` in the place of each batch norm of maps, with its scale and shift as they are initialised, and with
    the activation that timm keeps in it.

    Raises:
        ConfigError: the network has no batch norm, or another one than of maps.
    """
    asked, leave = f"model.norm={norm}: {type(net).__name__}", "model.norm=null leaves it as it is"
    found = {name: each for name, each in net.named_modules() if isinstance(each, _BatchNorm)}
    if not found:
        raise ConfigError(f"{asked} has no batch norm in whose place another could stand; {leave}")
    for name, each in found.items():
        if type(each) not in (nn.BatchNorm2d, BatchNormAct2d):
            raise ConfigError(f"{asked} has {name}, a {type(each).__name__}, which nothing can stand for; {leave}")
    if norm == KEPT:
        return
    for name, each in found.items():
        parent, _, last = name.rpartition(".")
        setattr(net.get_submodule(parent), last, _instead(each, norm))


def _instead(old: Any, norm: str) -> nn.Module:
    new = NORMS[norm](old.num_features, old.eps)
    if old.affine:
        with torch.no_grad():  # some begin with a scale of 0 at the end of each block
            for name, value in new.named_parameters():  # of scale and shift, where it has them
                value.copy_(getattr(old, name))  # where it stands still, it is a buffer
    return nn.Sequential(OrderedDict(norm=new, drop=old.drop, act=old.act)) if isinstance(old, BatchNormAct2d) else new
