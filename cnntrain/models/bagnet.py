"""BagNets: ResNet-50 with so few 3x3 convolutions that a feature sees 9, 17 or 33 pixels, and no more.

Brendel and Bethge, Approximating CNNs with bag-of-local-features models works surprisingly well on ImageNet, 2019
(arXiv:1904.00760).
"""

from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from typing import Any

from timm.models import generate_default_cfgs, register_model
from torch import Tensor, nn

from cnntrain.models.base import Blocks, Net, Stage, build, default_cfg, he_init
from cnntrain.models.parts import cropped

COUNTS = (3, 4, 6, 3)
STRIDES = (2, 2, 2, 1)


class LocalBottleneck(nn.Module):
    """1x1, `kernel` x `kernel` and 1x1 convolutions without padding, with which the edge would be seen.

    The shortcut is cropped at the bottom and the right to the size that is left.
    """

    expansion = 4

    def __init__(self, ins: int, width: int, kernel: int, stride: int):
        super().__init__()
        outs = width * self.expansion
        self.conv1 = nn.Conv2d(ins, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.act1 = nn.ReLU()
        self.conv2 = nn.Conv2d(width, width, kernel, stride, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.act2 = nn.ReLU()
        self.conv3 = nn.Conv2d(width, outs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outs)
        projection = nn.Sequential(nn.Conv2d(ins, outs, 1, stride, bias=False), nn.BatchNorm2d(outs))
        self.shortcut: nn.Module = projection if stride != 1 or ins != outs else nn.Identity()
        self.act3 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        out = self.act1(self.bn1(self.conv1(x)))
        out = self.act2(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        return self.act3(out + cropped(self.shortcut(x), out))


class BagNet(Net):
    """A 1x1 and a 3x3 convolution, four stages of bottlenecks; the classifier on the mean of all local features.

    `local` says for each stage whether its first block has the 3x3 convolution; all others are 1x1. `width` counts the
    stem's channels. Without padding an image smaller than the receptive field leaves nothing: RuntimeError.
    """

    def __init__(
        self,
        local: Sequence[bool],
        width: int = 64,
        num_classes: int = 1000,
        in_chans: int = 3,
        drop_rate: float = 0.0,
        global_pool: str = "avg",
    ):
        stem = OrderedDict[str, nn.Module](conv1=nn.Conv2d(in_chans, width, 1, bias=False))
        stem |= OrderedDict(
            conv2=nn.Conv2d(width, width, 3, bias=False), bn=nn.BatchNorm2d(width, momentum=0.001), act=nn.ReLU()
        )
        stages, ins = [Stage("stem", nn.Sequential(stem), width)], width
        for index, (count, stride, has_3x3) in enumerate(zip(COUNTS, STRIDES, local, strict=True)):
            within = width * 2**index
            outs = within * LocalBottleneck.expansion
            first = LocalBottleneck(ins, within, 3 if has_3x3 else 1, stride)
            blocks = Blocks(first, *(LocalBottleneck(outs, within, 1, 1) for _ in range(count - 1)))
            stages.append(Stage(f"stage{index + 1}", blocks, outs, stride))
            ins = outs
        super().__init__(
            stages, num_classes=num_classes, in_chans=in_chans, drop_rate=drop_rate, global_pool=global_pool
        )
        self.apply(he_init)


_CFG = default_cfg("stem.conv1", (3, 224, 224), 1000, paper_ids="arXiv:1904.00760")
default_cfgs = generate_default_cfgs(dict.fromkeys(["bagnet9", "bagnet17", "bagnet33"], _CFG))


@register_model
def bagnet9(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(partial(BagNet, (True, True, False, False)), "bagnet9", pretrained, **kwargs)


@register_model
def bagnet17(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(partial(BagNet, (True, True, True, False)), "bagnet17", pretrained, **kwargs)


@register_model
def bagnet33(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(partial(BagNet, (True, True, True, True)), "bagnet33", pretrained, **kwargs)
