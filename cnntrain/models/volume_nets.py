"""Small convolutional nets for volumes (N, C, T, H, W): T images one behind the other.

`lenet3d` has LeNet-5's layers, and `resnet3d` those of He et al. 2015 (arXiv:1512.03385), section 4.2, with kernels
of three frames, as Tran et al. 2015 (arXiv:1412.0767) find best. Both take any number of frames, one included.
"""

from collections import OrderedDict
from typing import Any

from timm.models import generate_default_cfgs, register_model
from torch import Tensor, nn

from cnntrain.models.base import Blocks, FullyConnected, GlobalMean, Net, Stage, build, default_cfg, he_init

default_cfgs = generate_default_cfgs(
    {
        "lenet3d": default_cfg("conv1.0", (1, 8, 32, 32), 10, fixed_input_size=True),
        "resnet3d": default_cfg("stem.conv", (3, 8, 32, 32), 10),
    }
)


class FlatMean(nn.Module):
    """The mean over the frames, flattened: (N, C, T, H, W) to (N, C * H * W)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(2, keepdim=True).flatten(1)


class LeNet3d(Net):
    """Pools halve height and width, and no frames; the map's mean over them is flattened, which fixes the side.

    Raises ValueError where nothing would be left to flatten.
    """

    def __init__(self, num_classes: int = 10, in_chans: int = 1, drop_rate: float = 0.0, img_size: int = 32):
        side = ((img_size - 4) // 2 - 4) // 2
        if side < 1:
            raise ValueError(f"lenet3d needs frames of at least 16x16 pixels, not {img_size}")
        super().__init__(
            [Stage("conv1", _conv_pool(in_chans, 6), 6, 2), Stage("conv2", _conv_pool(6, 16), 16, 2)],
            num_classes=num_classes,
            in_chans=in_chans,
            drop_rate=drop_rate,
            global_pool=FlatMean(),
            hidden=FullyConnected((16 * side * side, 120, 84), nn.Tanh, drop_rate),
        )


def _conv_pool(ins: int, outs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv3d(ins, outs, (3, 5, 5), padding=(1, 0, 0)), nn.Tanh(), nn.AvgPool3d((1, 2, 2)))


def conv_bn(
    ins: int, outs: int, stride: int | tuple[int, int, int] = 1, kernel: int = 3
) -> OrderedDict[str, nn.Module]:
    """Convolution without bias that keeps the size at stride 1, batch norm."""
    conv = nn.Conv3d(ins, outs, kernel, stride, kernel // 2, bias=False)
    return OrderedDict(conv=conv, bn=nn.BatchNorm3d(outs))


class BasicBlock3d(nn.Module):
    """Two 3x3x3 convolutions, the shortcut (option B: a projection where the shape changes) added before the ReLU."""

    def __init__(self, ins: int, outs: int, stride: int = 1):
        super().__init__()
        self.conv1 = nn.Sequential(conv_bn(ins, outs, stride))
        self.act1 = nn.ReLU()
        self.conv2 = nn.Sequential(conv_bn(outs, outs))
        changes = ins != outs or stride != 1
        self.shortcut = nn.Sequential(conv_bn(ins, outs, stride, 1)) if changes else nn.Identity()
        self.act2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.act2(self.conv2(self.act1(self.conv1(x))) + self.shortcut(x))


class ResNet3d(Net):
    """6n + 2 layers: a convolution that halves height and width, three stages of n blocks at `width`, twice and four
    times as many channels, which halve all sides from the second on, the classifier.

    Raises ValueError for a depth that is not of this form.
    """

    def __init__(
        self, num_classes: int = 10, in_chans: int = 3, drop_rate: float = 0.0, depth: int = 8, width: int = 16
    ):
        count, rest = divmod(depth - 2, 6)
        if rest or count < 1:
            raise ValueError(f"the depth of resnet3d is 6n + 2, not {depth}")
        stem = nn.Sequential(OrderedDict(conv_bn(in_chans, width, (1, 2, 2)), act=nn.ReLU()))
        stages, before = [Stage("stem", stem, width, 2)], width
        for number in (1, 2, 3):
            outs, stride = width * 2 ** (number - 1), 1 if number == 1 else 2
            first = BasicBlock3d(before, outs, stride)
            blocks = Blocks(first, *(BasicBlock3d(outs, outs) for _ in range(count - 1)))
            stages.append(Stage(f"stage{number}", blocks, outs, stride))
            before = outs
        super().__init__(
            stages, num_classes=num_classes, in_chans=in_chans, drop_rate=drop_rate, global_pool=GlobalMean()
        )
        self.apply(he_init)


@register_model
def lenet3d(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(LeNet3d, "lenet3d", pretrained, **kwargs)


@register_model
def resnet3d(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(ResNet3d, "resnet3d", pretrained, **kwargs)
