"""PReLU-nets: rectifiers whose slope on negative inputs is learned for each channel.

He, Zhang, Ren and Sun, Delving deep into rectifiers: surpassing human-level performance on ImageNet classification,
2015 (arXiv:1502.01852), table 3.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from timm.models import generate_default_cfgs, register_model
from torch import Tensor, nn

from cnntrain.models.base import Blocks, FullyConnected, Net, Stage, build, default_cfg

SLOPE = 0.25  # of each PReLU at first
LEVELS = (7, 3, 2, 1)


class SpatialPyramid(nn.Module):
    """The maxima over grids of `levels` x `levels` bins, concatenated: (N, C, H, W) to (N, C * bins).

    He, Zhang, Ren and Sun, Spatial pyramid pooling in deep convolutional networks, 2014 (arXiv:1406.4729).
    """

    def __init__(self, levels: Sequence[int] = LEVELS):
        super().__init__()
        self.pools = nn.ModuleList(nn.AdaptiveMaxPool2d(level) for level in levels)
        self.bins = sum(level**2 for level in levels)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([pool(x).flatten(1) for pool in self.pools], 1)


def conv_prelu(ins: int, outs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(ins, outs, kernel, stride, kernel // 2)
    return nn.Sequential(conv, nn.PReLU(outs, init=SLOPE))


def he_init(module: nn.Module) -> None:
    """For `Module.apply`: N(0, 2 / ((1 + slope^2) fan_in)), equation 15 with the slope that PReLU starts from."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.kaiming_normal_(module.weight, a=SLOPE, mode="fan_in", nonlinearity="leaky_relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)


class PReLUNet(Net):
    """A strided 7x7 convolution, three stages of a max-pool and `count` 3x3 convolutions, a spatial pyramid, two hidden
    layers of `hidden_size`, the classifier. Dropout (`drop_rate`) stands after both hidden layers."""

    def __init__(
        self,
        widths: Sequence[int],
        count: int,
        num_classes: int = 1000,
        in_chans: int = 3,
        drop_rate: float = 0.5,
        hidden_size: int = 4096,
    ):
        stages, ins = [Stage("stem", conv_prelu(in_chans, 96, 7, 2), 96, 2)], 96
        for index, outs in enumerate(widths):
            first = nn.Sequential(nn.MaxPool2d(2), *conv_prelu(ins, outs))
            blocks = Blocks(first, *(conv_prelu(outs, outs) for _ in range(count - 1)))
            stages.append(Stage(f"stage{index + 1}", blocks, outs, 2))
            ins = outs
        pyramid = SpatialPyramid()
        act = partial(nn.PReLU, hidden_size, init=SLOPE)
        super().__init__(
            stages,
            num_classes=num_classes,
            in_chans=in_chans,
            drop_rate=drop_rate,
            global_pool=pyramid,
            hidden=FullyConnected((ins * pyramid.bins, hidden_size, hidden_size), act, drop_rate),
        )
        for part in (*(stage.module for stage in stages), self.hidden):
            part.apply(he_init)

    def no_weight_decay(self) -> set[str]:
        """The slopes: decay would pull PReLU towards ReLU (section 2.1)."""
        return {f"{name}.weight" for name, module in self.named_modules() if isinstance(module, nn.PReLU)}


_CFG = default_cfg("stem.0", (3, 224, 224), 1000, paper_ids="arXiv:1502.01852")
default_cfgs = generate_default_cfgs(dict.fromkeys(["prelunet_a", "prelunet_b", "prelunet_c"], _CFG))


@register_model
def prelunet_a(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(partial(PReLUNet, (256, 512, 512), 5), "prelunet_a", pretrained, **kwargs)


@register_model
def prelunet_b(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(partial(PReLUNet, (256, 512, 512), 6), "prelunet_b", pretrained, **kwargs)


@register_model
def prelunet_c(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(partial(PReLUNet, (384, 768, 896), 6), "prelunet_c", pretrained, **kwargs)
