"""The Inception module as it was first thought of, before 1x1 convolutions made it affordable.

Szegedy et al., Going deeper with convolutions, 2014 (arXiv:1409.4842), figure 2a.
"""

from typing import Any

from timm.models import generate_default_cfgs, register_model
from torch import nn

from cnntrain.models.base import Net, Stage, build, default_cfg, he_init
from cnntrain.models.parts import Branches, branches, conv_relu

_CFG = default_cfg("conv1.conv", (3, 32, 32), 10, paper_ids="arXiv:1409.4842")
default_cfgs = generate_default_cfgs({"inception_naive": _CFG})


def naive_inception(ins: int, ones: int, threes: int, fives: int) -> Branches:
    """(N, ins, H, W) to (N, ones + threes + fives + ins, H, W): the pool passes all channels on, so each block
    is wider than the last. On 28x28x256, 128, 192 and 96 filters cost 854 million multiply-adds."""
    return branches(
        conv1=conv_relu(ins, ones, 1),
        conv3=conv_relu(ins, threes, 3),
        conv5=conv_relu(ins, fives, 5),
        pool=nn.MaxPool2d(3, 1, 1),
    )


class NaiveInception(Net):
    """A small net around one such block, so that its cost can be measured in training; not from the paper."""

    def __init__(self, num_classes: int = 10, in_chans: int = 3, drop_rate: float = 0.0, global_pool: str = "avg"):
        super().__init__(
            [
                Stage("conv1", conv_relu(in_chans, 64, 3), 64),
                Stage("conv2", conv_relu(64, 256, 3, 2), 256, 2),
                Stage("inception", naive_inception(256, 128, 192, 96), 672),
            ],
            num_classes=num_classes,
            in_chans=in_chans,
            drop_rate=drop_rate,
            global_pool=global_pool,
        )
        self.apply(he_init)


@register_model
def inception_naive(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(NaiveInception, "inception_naive", pretrained, **kwargs)
