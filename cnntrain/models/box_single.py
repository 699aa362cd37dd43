"""RetinaNet (Lin et al. 2017, arXiv:1708.02002) and SSDlite (Liu et al. 2016, arXiv:1512.02325, with the separable
convolutions of Sandler et al. 2018, arXiv:1801.04381) over any network: torchvision's parts, one stage each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import torch
from timm.layers import to_2tuple
from timm.models import generate_default_cfgs, register_model
from torch import Tensor, nn
from torchvision.models.detection import RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator, DefaultBoxGenerator
from torchvision.models.detection.ssd import SSD
from torchvision.models.detection.ssdlite import SSDLiteHead
from torchvision.ops import Conv2dNormActivation, box_iou
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from cnntrain.models.base import default_cfg
from cnntrain.models.box_net import (
    RATIOS,
    BoxHead,
    BoxNet,
    Detected,
    Objects,
    Pyramid,
    Targets,
    anchor_sizes,
    canvas,
    coarsest,
    objects,
    outlined,
    rows,
    widened,
)
from cnntrain.models.trunk import build_over

OCTAVE = (1.0, 2 ** (1 / 3), 2 ** (2 / 3))  # sides of the anchors of a map, times the first
TIMES = 4.0  # the stride of its map is the side of a smallest anchor
STANDARD_DEVIATION = 0.03  # of an SSDlite's first weights


class OneStage(BoxHead):
    """Objects right out of the maps, by the anchors at each place.

    `whole` is torchvision's network without its trunk, whose class 0 is `first - 1`.
    """

    first: ClassVar[int]
    pyramid: nn.Module
    whole: Any

    @property
    def most(self) -> int:
        found: int = self.whole.detections_per_img
        return found

    def forward(self, maps: list[Tensor], height: int, width: int) -> Detected:
        found: list[Tensor] = [*self.pyramid(maps).values()]
        outputs = {name: widened(each) for name, each in self.whole.head(found).items()}
        if found[0].is_meta:  # without values, by which layers are counted
            return outlined(found[0], self.most, self.training)
        anchors: list[Tensor] = self.whole.anchor_generator(*canvas(found, height, width))

        def losses(targets: Targets) -> Tensor:
            each = []
            for number, wanted in enumerate(objects(targets, self.first)):
                own = {name: values[number : number + 1] for name, values in outputs.items()}
                each.append(sum(self._losses(wanted, own, anchors[number]).values()))
            return torch.stack(each)

        if self.training:
            return Detected(losses)
        chosen = self._detections(found, outputs, anchors, [(height, width)] * len(anchors))
        return Detected(losses, rows(chosen, self.first, self.most))

    def _losses(self, wanted: Objects, outputs: dict[str, Tensor], anchors: Tensor) -> dict[str, Any]:
        raise NotImplementedError

    def _detections(
        self, maps: list[Tensor], outputs: dict[str, Tensor], anchors: list[Tensor], sizes: list[tuple[int, int]]
    ) -> list[Objects]:
        raise NotImplementedError


class RetinaHead(OneStage):
    """Args:
    side: pixels of images, for which anchors are made.
    more: keys of torchvision's RetinaNet, such as ``detections_per_img``.
    """

    first = 0
    of_classes = ("whole.head.classification_head.cls_logits",)

    def __init__(
        self,
        depths: list[int],
        strides: list[int],
        *,
        num_classes: int,
        side: int,
        anchors: Sequence[float] | None,
        channels: int,
        more: Mapping[str, Any],
    ):
        super().__init__()
        self.pyramid = Pyramid(depths, channels, LastLevelP6P7(channels, channels))
        every = [*strides, 2 * strides[-1], 4 * strides[-1]]
        sides = anchor_sizes(every, side, anchors, TIMES)
        sizes = tuple(tuple(float(int(each * octave)) for octave in OCTAVE) for each in sides)  # as torchvision
        generator = AnchorGenerator(sizes, (RATIOS,) * len(sizes))
        self.whole = RetinaNet(self.pyramid, num_classes, anchor_generator=generator, **more)
        self.whole.backbone = self.whole.transform = nn.Identity()

    def _losses(self, wanted: Objects, outputs: dict[str, Tensor], anchors: Tensor) -> dict[str, Any]:
        found: dict[str, Any] = self.whole.compute_loss([wanted], outputs, [anchors])
        return found

    def _detections(
        self, maps: list[Tensor], outputs: dict[str, Tensor], anchors: list[Tensor], sizes: list[tuple[int, int]]
    ) -> list[Objects]:
        counts = [each[0, 0].numel() * len(OCTAVE) * len(RATIOS) for each in maps]
        by_level = {name: [*values.split(counts, 1)] for name, values in outputs.items()}
        found: list[Objects] = self.whole.postprocess_detections(by_level, [[*a.split(counts)] for a in anchors], sizes)
        return found


class SsdHead(OneStage):
    """Args:
    extra: channels of maps that are added, each half as large as the one before.
    smallest, largest: sides of the anchors of the first and of the last map, of the image's.
    more: keys of torchvision's SSD, such as ``detections_per_img``.
    """

    first = 1
    of_classes = ("whole.head.classification_head",)

    def __init__(
        self,
        depths: list[int],
        strides: list[int],
        *,
        num_classes: int,
        side: int,
        extra: Sequence[int],
        smallest: float,
        largest: float,
        more: Mapping[str, Any],
    ):
        super().__init__()
        norm = partial(nn.BatchNorm2d, eps=0.001, momentum=0.03)
        self.pyramid = Extended(depths, extra, norm)
        every = [*depths, *extra]
        generator = DefaultBoxGenerator([[2, 3]] * len(every), min_ratio=smallest, max_ratio=largest)
        head = SSDLiteHead(every, generator.num_anchors_per_location(), num_classes + 1, norm)
        self.whole = SSD(nn.Identity(), generator, (side, side), num_classes + 1, head=head, **more)
        self.whole.backbone = self.whole.transform = nn.Identity()

    def _losses(self, wanted: Objects, outputs: dict[str, Tensor], anchors: Tensor) -> dict[str, Any]:
        matched = torch.full((len(anchors),), -1, device=anchors.device)
        if len(wanted["boxes"]):
            matched = self.whole.proposal_matcher(box_iou(wanted["boxes"], anchors))
        found: dict[str, Any] = self.whole.compute_loss([wanted], outputs, [anchors], [matched])
        return found

    def _detections(
        self, maps: list[Tensor], outputs: dict[str, Tensor], anchors: list[Tensor], sizes: list[tuple[int, int]]
    ) -> list[Objects]:
        found: list[Objects] = self.whole.postprocess_detections(outputs, anchors, sizes)
        return found


class Extended(nn.Module):
    """Maps of a trunk, the finest first, and behind them coarser ones by separable convolutions of stride 2."""

    def __init__(self, depths: Sequence[int], extra: Sequence[int], norm: Any):
        super().__init__()
        blocks, before = [], depths[-1]
        for depth in extra:
            layer = partial(Conv2dNormActivation, norm_layer=norm, activation_layer=nn.ReLU6)
            half = depth // 2
            blocks.append(
                nn.Sequential(
                    layer(before, half, kernel_size=1),
                    layer(half, half, kernel_size=3, stride=2, groups=half),
                    layer(half, depth, kernel_size=1),
                )
            )
            before = depth
        self.extra = nn.ModuleList(blocks)
        for each in self.modules():
            if isinstance(each, nn.Conv2d):
                nn.init.normal_(each.weight, std=STANDARD_DEVIATION)

    def forward(self, maps: Sequence[Tensor]) -> dict[str, Tensor]:
        found = [*maps]
        for block in self.extra:
            found.append(block(found[-1]))
        return {str(number): each for number, each in enumerate(found)}


class Retina(BoxNet):
    """Args:
    levels: maps of the trunk at most, of strides from 2 on.
    anchor_sizes: pixels a side of the smallest anchors of each map and of the two that are added, the finest first;
        None: 4 times the stride, but no larger than the image.
    channels: of the pyramid.
    more: keys of torchvision's RetinaNet that say how anchors are chosen and judged.
    """

    def __init__(
        self,
        num_classes: int = 91,
        in_chans: int = 3,
        img_size: int | tuple[int, int] = 800,
        backbone: str = "resnet50",
        levels: int = 3,
        anchor_sizes: Sequence[float] | None = None,
        channels: int = 256,
        pretrained_backbone: Mapping[str, Any] | None = None,
        **more: Any,
    ):
        side = max(to_2tuple(img_size))
        keys: dict[str, Any] = dict(side=side, anchors=anchor_sizes, channels=channels, more=more)
        head = partial(RetinaHead, num_classes=num_classes, **keys)
        super().__init__(head, num_classes, in_chans, backbone, coarsest(levels), pretrained_backbone)


class SsdLite(BoxNet):
    """Args:
    levels: maps of the trunk at most, of strides from 2 on.
    extra, smallest, largest: see `SsdHead`.
    more: keys of torchvision's SSD that say how anchors are chosen and judged.
    """

    def __init__(
        self,
        num_classes: int = 90,
        in_chans: int = 3,
        img_size: int | tuple[int, int] = 320,
        backbone: str = "mobilenetv3_large_100",
        levels: int = 2,
        extra: Sequence[int] = (512, 256, 256, 128),
        smallest: float = 0.2,
        largest: float = 0.95,
        pretrained_backbone: Mapping[str, Any] | None = None,
        **more: Any,
    ):
        side = max(to_2tuple(img_size))
        keys: dict[str, Any] = dict(side=side, extra=extra, smallest=smallest, largest=largest, more=more)
        head = partial(SsdHead, num_classes=num_classes, **keys)
        super().__init__(head, num_classes, in_chans, backbone, coarsest(levels), pretrained_backbone)


_CFG = dict(classifier="head", fixed_input_size=True)
default_cfgs = generate_default_cfgs(
    {
        "retinanet": default_cfg("backbone", (3, 800, 800), 91, **_CFG),
        "ssdlite": default_cfg("backbone", (3, 320, 320), 90, **_CFG),
    }
)


@register_model
def retinanet(pretrained: bool = False, pretrained_cfg_overlay: Any = None, **kwargs: Any) -> nn.Module:
    """See `build_over`."""
    return build_over(Retina, "retinanet", pretrained, pretrained_cfg_overlay, **kwargs)


@register_model
def ssdlite(pretrained: bool = False, pretrained_cfg_overlay: Any = None, **kwargs: Any) -> nn.Module:
    """See `build_over`."""
    return build_over(SsdLite, "ssdlite", pretrained, pretrained_cfg_overlay, **kwargs)
