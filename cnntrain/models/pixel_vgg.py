"""FCN-32s, FCN-16s and FCN-8s on VGG16 (Long, Shelhamer and Darrell 2015, arXiv:1411.4038), section 4."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, ClassVar

import torch
from timm.models import generate_default_cfgs, register_model
from torch import Tensor, nn

from cnntrain.models.base import default_cfg
from cnntrain.models.parts import cropped
from cnntrain.models.pixel_net import PixelNet, bilinear, build

WIDTHS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
RIM = 100  # pixels around the image, so that maps of any image are large enough for the 7x7 convolution
POOLS = (4, 9, 16, 23, 30)  # places in `features`, as in timm's VGG16
POOL3, POOL4 = POOLS[2:4]
# of the maps of pool4 and pool3, and of the enlarged logits, how many rows and columns of the rim are cut off
CROPS = {32: (19,), 16: (5, 27), 8: (5, 9, 31)}


class Scores(nn.Module):
    """Logits of coarse maps, doubled and added to those of finer ones, and at last enlarged by fixed weights."""

    def __init__(self, num_classes: int, stride: int):
        super().__init__()
        self.crops = CROPS[stride]
        skips = {32: (), 16: (512,), 8: (512, 256)}[stride]
        self.score = nn.Conv2d(4096, num_classes, 1)
        self.skips = nn.ModuleList(nn.Conv2d(depth, num_classes, 1) for depth in skips)
        self.doubled = nn.ModuleList(_enlarging(num_classes, 2) for _ in skips)
        self.enlarged = _enlarging(num_classes, stride)
        for each in (self.score, *self.skips):
            nn.init.zeros_(each.weight)
            assert each.bias is not None
            nn.init.zeros_(each.bias)

    def forward(self, coarse: Tensor, finer: list[Tensor], images: Tensor) -> Tensor:
        scores = self.score(coarse)
        for double, skip, maps, start in zip(self.doubled, self.skips, finer, self.crops[:-1], strict=True):
            scores = double(scores)
            scores = scores + cropped(skip(maps), scores, start)
        return cropped(self.enlarged(scores), images, self.crops[-1])


class FcnVgg16(PixelNet):
    """The trunk has the names of timm's VGG16, so that `model.weights` takes a file of that, whose head is another.

    The score layers begin with zeros, the transposed convolutions as interpolations; the last one is fixed, those
    between are learned.
    """

    fixed: ClassVar[tuple[str, ...]] = ("head.enlarged.weight",)
    map_names = tuple(f"features.{place}" for place in POOLS)
    rim = RIM

    def __init__(self, num_classes: int = 21, in_chans: int = 3, drop_rate: float = 0.5, stride: int = 8):
        super().__init__(num_classes, in_chans)
        self.features = _trunk(in_chans)
        self.pre_logits = nn.Sequential(
            OrderedDict(
                fc1=nn.Conv2d(512, 4096, 7), act1=nn.ReLU(), drop=nn.Dropout2d(drop_rate),
                fc2=nn.Conv2d(4096, 4096, 1), act2=nn.ReLU(), drop2=nn.Dropout2d(drop_rate),
            )
        )  # fmt: skip
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
                assert layer.bias is not None
                nn.init.zeros_(layer.bias)
        self.head = Scores(num_classes, stride)

    def forward(self, images: Tensor) -> Tensor:
        maps, kept = images, {}
        for place, layer in enumerate(self.features):
            maps = layer(maps)
            kept[place] = maps
        finer = [kept[POOL4], kept[POOL3]][: len(self.head.skips)]
        return self.head(self.pre_logits(maps), finer, images)

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        stages = {
            f"stage{number}": rf"^features\.({'|'.join(map(str, range(start, end)))})\."
            for number, (start, end) in enumerate(zip([0, *(each + 1 for each in POOLS)], POOLS, strict=False))
        }
        if coarse:  # without what a group of a pattern tells apart
            stages = {name: pattern.replace("(", "(?:") for name, pattern in stages.items()}
        hidden = r"^pre_logits\." if coarse else r"^pre_logits\.fc(\d)"
        return {**stages, "hidden": hidden, "head": r"^head\."}


def _trunk(in_chans: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    depth = in_chans
    for widths in WIDTHS:
        for width in widths:
            layers += [nn.Conv2d(depth, width, 3, padding=1 if layers else RIM), nn.ReLU()]
            depth = width
        layers.append(nn.MaxPool2d(2, 2, ceil_mode=True))
    return nn.Sequential(*layers)


def _enlarging(classes: int, times: int) -> nn.ConvTranspose2d:
    layer = nn.ConvTranspose2d(classes, classes, 2 * times, times, bias=False)
    with torch.no_grad():
        layer.weight.copy_(bilinear(classes, 2 * times))
    return layer


default_cfgs = generate_default_cfgs(
    {f"fcn{stride}s_vgg16": default_cfg("features.0", (3, 500, 500), 21, classifier="head.score") for stride in CROPS}
)


@register_model
def fcn32s_vgg16(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """The coarsest maps alone, enlarged 32 times."""
    return build(FcnVgg16, "fcn32s_vgg16", pretrained, stride=32, **kwargs)


@register_model
def fcn16s_vgg16(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """With the logits of pool4."""
    return build(FcnVgg16, "fcn16s_vgg16", pretrained, stride=16, **kwargs)


@register_model
def fcn8s_vgg16(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """With the logits of pool4 and pool3."""
    return build(FcnVgg16, "fcn8s_vgg16", pretrained, stride=8, **kwargs)
