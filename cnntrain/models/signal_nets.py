"""Convolutional nets for signals (N, C, L).

`fcn1d` and `resnet1d`: Wang, Yan and Oates, Time series classification from scratch with deep neural networks: a strong
baseline, 2017 (arXiv:1611.06455), section II. `lenet1d` has LeNet-5's layers with kernels along the one side.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from timm.models import generate_default_cfgs, register_model
from torch import Tensor, nn

from cnntrain.models.base import FullyConnected, GlobalMean, Net, Stage, build, default_cfg, he_init

KERNELS = (8, 5, 3)  # of three convolutions one after the other, in both of the paper's nets
LENGTH = 40  # of MNIST-1D's signals
_PAPER = dict(paper_ids="arXiv:1611.06455", mean=(0.0,), std=(1.0,))
default_cfgs = generate_default_cfgs(
    {
        "lenet1d": default_cfg("conv1.0", (1, LENGTH), 10, fixed_input_size=True, mean=(0.0,), std=(1.0,)),
        "fcn1d": default_cfg("stage1.conv", (1, LENGTH), 10, **_PAPER),
        "resnet1d": default_cfg("stage1.conv1.conv", (1, LENGTH), 10, **_PAPER),
    }
)


class LeNet1d(Net):
    """The flattened map fixes the length. Raises ValueError where nothing would be left to flatten."""

    def __init__(self, num_classes: int = 10, in_chans: int = 1, drop_rate: float = 0.0, img_size: int = LENGTH):
        length = ((img_size - 4) // 2 - 4) // 2
        if length < 1:
            raise ValueError(f"lenet1d needs signals of at least 16 values, not {img_size}")
        super().__init__(
            [
                Stage("conv1", nn.Sequential(nn.Conv1d(in_chans, 6, 5), nn.Tanh(), nn.AvgPool1d(2)), 6, 2),
                Stage("conv2", nn.Sequential(nn.Conv1d(6, 16, 5), nn.Tanh(), nn.AvgPool1d(2)), 16, 2),
            ],
            num_classes=num_classes,
            in_chans=in_chans,
            drop_rate=drop_rate,
            global_pool=nn.Flatten(),
            hidden=FullyConnected((16 * length, 120, 84), nn.Tanh, drop_rate),
        )


def conv_block(ins: int, outs: int, kernel: int, act: bool = True) -> nn.Sequential:
    """Zeros before and behind, so that the length stays, convolution without bias, batch norm, ReLU."""
    layers: dict[str, nn.Module] = {}
    if kernel % 2 == 0:  # which padding by one number cannot do
        layers["pad"] = nn.ConstantPad1d(((kernel - 1) // 2, kernel // 2), 0.0)
    padding = kernel // 2 if kernel % 2 else 0
    layers["conv"] = nn.Conv1d(ins, outs, kernel, padding=padding, bias=False)
    layers["bn"] = nn.BatchNorm1d(outs)
    return nn.Sequential(OrderedDict(layers, **({"act": nn.ReLU()} if act else {})))


class ResidualBlock(nn.Module):
    """Three convolutions, the shortcut added before the last ReLU: the identity, or a projection to other channels."""

    def __init__(self, ins: int, outs: int):
        super().__init__()
        first, second, third = KERNELS
        self.conv1 = conv_block(ins, outs, first)
        self.conv2 = conv_block(outs, outs, second)
        self.conv3 = conv_block(outs, outs, third, act=False)
        self.shortcut = conv_block(ins, outs, 1, act=False) if ins != outs else nn.Identity()
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.conv3(self.conv2(self.conv1(x))) + self.shortcut(x))


class SignalNet(Net):
    """Stages that keep the length, the mean over it, the classifier."""

    def __init__(self, stages: Sequence[Stage], num_classes: int, in_chans: int, drop_rate: float):
        super().__init__(
            stages, num_classes=num_classes, in_chans=in_chans, drop_rate=drop_rate, global_pool=GlobalMean()
        )
        self.apply(he_init)


class FCN1d(SignalNet):
    """Three convolutions of 128, 256 and 128 maps."""

    def __init__(self, num_classes: int = 10, in_chans: int = 1, drop_rate: float = 0.0):
        widths = (128, 256, 128)
        each = zip((in_chans, *widths), widths, KERNELS, strict=False)
        stages = [
            Stage(f"stage{number}", conv_block(ins, outs, kernel), outs)
            for number, (ins, outs, kernel) in enumerate(each, 1)
        ]
        super().__init__(stages, num_classes, in_chans, drop_rate)


class ResNet1d(SignalNet):
    """Three residual blocks of `widths` maps."""

    def __init__(
        self,
        num_classes: int = 10,
        in_chans: int = 1,
        drop_rate: float = 0.0,
        widths: Sequence[int] = (64, 128, 128),
    ):
        each = zip((in_chans, *widths), widths, strict=False)
        stages = [Stage(f"stage{number}", ResidualBlock(ins, outs), outs) for number, (ins, outs) in enumerate(each, 1)]
        super().__init__(stages, num_classes, in_chans, drop_rate)


@register_model
def lenet1d(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(LeNet1d, "lenet1d", pretrained, **kwargs)


@register_model
def fcn1d(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(FCN1d, "fcn1d", pretrained, **kwargs)


@register_model
def resnet1d(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(ResNet1d, "resnet1d", pretrained, **kwargs)
