"""A net in the shape of the neocognitron, trained by back-propagation.

Fukushima, Neocognitron: a self-organizing neural network model for a mechanism of pattern recognition
unaffected by shift in position, 1980.
"""

from typing import Any

from timm.models import generate_default_cfgs, register_model
from torch import nn

from cnntrain.models.base import Net, Stage, build, default_cfg, he_init
from cnntrain.models.parts import conv_relu

_PAPER = "Neocognitron: a self-organizing neural network model for a mechanism of pattern recognition"
default_cfgs = generate_default_cfgs({"neocognitron": default_cfg("u1.conv", (1, 16, 16), 10, paper_name=_PAPER)})


class Neocognitron(Net):
    """Three layers of 24 maps: S-cells (5x5 convolutions, ReLU), C-cells (means over a neighbourhood).

    The original learns without labels and inhibits by a rule of its own; this is its skeleton with gradients.
    It takes images from 15x15 pixels on.
    """

    def __init__(self, num_classes: int = 10, in_chans: int = 1, drop_rate: float = 0.0, global_pool: str = "avg"):
        first, second, third = (
            conv_relu(in_chans, 24, 5),
            conv_relu(24, 24, 5, padding=1),
            conv_relu(24, 24, 5, padding=0),
        )
        first.add_module("pool", nn.AvgPool2d(7, 1))
        second.add_module("pool", nn.AvgPool2d(3, 1))
        super().__init__(
            [Stage("u1", first, 24), Stage("u2", second, 24), Stage("u3", third, 24)],
            num_classes=num_classes,
            in_chans=in_chans,
            drop_rate=drop_rate,
            global_pool=global_pool,
        )
        self.apply(he_init)


@register_model
def neocognitron(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(Neocognitron, "neocognitron", pretrained, **kwargs)
