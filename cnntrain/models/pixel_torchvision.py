"""torchvision's networks for segmentation, with its keys: FCN and DeepLabv3 (arXiv:1706.05587) on dilated ResNets, and
LR-ASPP on MobileNetV3 (arXiv:1905.02244)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torchvision.models as tv
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.models import generate_default_cfgs, register_model
from torch import Tensor, nn
from torchvision.models._utils import IntermediateLayerGetter
from torchvision.models.segmentation.deeplabv3 import DeepLabHead
from torchvision.models.segmentation.fcn import FCNHead
from torchvision.models.segmentation.lraspp import lraspp_mobilenet_v3_large

from cnntrain.models.base import default_cfg
from cnntrain.models.pixel_net import PixelNet, build, enlarged, without_in_place
from cnntrain.models.torchvision_adapter import adapt_first

HEADS: dict[str, Callable[[int, int], nn.Module]] = {"fcn": FCNHead, "deeplab": DeepLabHead}


class TvResNetSegmenter(PixelNet):
    """With `aux_logits` it returns (logits, those of layer3's maps) in training."""

    HEAD = "classifier"
    AUXILIARY: ClassVar[Mapping[str, str]] = {"aux_classifier": "layer3"}
    map_names = ("backbone.layer1", "backbone.layer2", "backbone.layer3", "backbone.layer4")

    def __init__(
        self,
        num_classes: int = 21,
        in_chans: int = 3,
        drop_rate: float = 0.1,
        depth: int = 50,
        kind: str = "fcn",
        aux_logits: bool = False,
    ):
        super().__init__(num_classes, in_chans)
        trunk = getattr(tv, f"resnet{depth}")(weights=None, replace_stride_with_dilation=[False, True, True])
        adapt_first(trunk.conv1, in_chans)
        without_in_place(trunk)
        self.backbone = IntermediateLayerGetter(trunk, return_layers={"layer3": "aux", "layer4": "out"})
        self.classifier = HEADS[kind](2048, num_classes)
        self.aux_classifier = FCNHead(1024, num_classes) if aux_logits else None
        for each in self.modules():
            if isinstance(each, nn.Dropout) and kind == "fcn":
                each.p = drop_rate

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        maps = self.backbone(images)
        logits = enlarged(self.classifier(maps["out"]), images)
        if self.aux_classifier is None or not self.aux_classifier.training:
            return logits
        return logits, enlarged(self.aux_classifier(maps["aux"]), images)

    def group_matcher(self, coarse: bool = False) -> dict[str, str]:
        """Coarse groups have the auxiliary head with the stage that it reads, fine ones behind the classifier."""
        blocks = "" if coarse else r"\.(\d+)"
        matcher = {"stem": r"^backbone\.(?:conv1|bn1)\."}
        matcher |= {f"layer{number}": rf"^backbone\.layer{number}{blocks}" for number in range(1, 5)}
        if coarse:
            return matcher | {"layer3": r"^backbone\.layer3|^aux_classifier\.", "classifier": r"^classifier\."}
        return matcher | {"classifier": r"^classifier\.", "aux_classifier": r"^aux_classifier\."}


class TvLraspp(PixelNet):
    """Maps of stride 16 with a gate of their mean, and those of stride 8 beside them."""

    HEAD = "classifier"

    def __init__(self, num_classes: int = 21, in_chans: int = 3):
        super().__init__(num_classes, in_chans)
        twin = lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=num_classes)
        self.backbone, self.classifier = twin.backbone, twin.classifier
        self.map_names = [f"backbone.{name}" for name in self.backbone.return_layers]
        adapt_first(self.backbone["0"][0], in_chans)
        without_in_place(self)

    def forward(self, images: Tensor) -> Tensor:
        return enlarged(self.classifier(self.backbone(images)), images)

    def group_matcher(self, coarse: bool = False) -> dict[str, str]:
        return {"blocks": r"^backbone\.(\d+)", "classifier": r"^classifier\."}


def _cfg(first_conv: str, classifier: str) -> dict[str, Any]:
    colours = {"mean": IMAGENET_DEFAULT_MEAN, "std": IMAGENET_DEFAULT_STD}
    return default_cfg(first_conv, (3, 520, 520), 21, classifier=classifier, **colours)


RESNET = _cfg("backbone.conv1", "classifier.4")
default_cfgs = generate_default_cfgs(
    {
        "fcn_resnet50": RESNET,
        "fcn_resnet101": RESNET,
        "deeplabv3": RESNET,
        "lraspp": _cfg("backbone.0.0", "classifier.high_classifier"),
    }
)


@register_model
def fcn_resnet50(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """ResNet-50 of stride 8."""
    return build(TvResNetSegmenter, "fcn_resnet50", pretrained, **kwargs)


@register_model
def fcn_resnet101(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """ResNet-101 of stride 8."""
    return build(TvResNetSegmenter, "fcn_resnet101", pretrained, depth=101, **kwargs)


@register_model
def deeplabv3(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """ResNet-50 of stride 8, whose last maps are looked at with convolutions of several dilations side by side."""
    return build(TvResNetSegmenter, "deeplabv3", pretrained, kind="deeplab", **kwargs)


@register_model
def lraspp(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """MobileNetV3-Large."""
    return build(TvLraspp, "lraspp", pretrained, **kwargs)
