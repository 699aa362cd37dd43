"""torchvision's own nets that timm lacks, under timm's protocol and with torchvision's keys.

So their published state dicts load as they are. They are not the papers' nets: AlexNet is the one-column variant
of 2014 (arXiv:1404.5997), GoogLeNet has batch normalisation and 3x3 where the paper has 5x5.
"""

from typing import Any, ClassVar

import torchvision.models as tv
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.layers import get_device_dtype
from timm.models import generate_default_cfgs, register_model
from torch import Tensor, nn
from torchvision.models.googlenet import InceptionAux

from cnntrain.models.auxiliary import AuxiliaryNet
from cnntrain.models.base import build, default_cfg
from cnntrain.models.parts import gaussian_init
from cnntrain.models.torchvision_adapter import Part, TorchvisionNet


class TvAlexNet(TorchvisionNet):
    """One column of 64 to 256 maps, which are pooled to 6x6 whatever the image size; from 63x63 pixels on."""

    PARTS = (
        Part(("features.0", "features.1", "features.2"), 64, 8),
        Part(("features.3", "features.4", "features.5"), 192, 2),
        Part(("features.6", "features.7"), 384),
        Part(("features.8", "features.9"), 256),
        Part(("features.10", "features.11", "features.12"), 256, 2),
    )
    HIDDEN = tuple(f"classifier.{index}" for index in range(6))
    CLASSIFIER = "classifier.6"
    FIRST_CONV = "features.0"

    def __init__(self, num_classes: int = 1000, in_chans: int = 3, drop_rate: float = 0.5):
        pool = nn.Sequential(nn.AdaptiveAvgPool2d(6), nn.Flatten())
        super().__init__(tv.alexnet(dropout=drop_rate), num_classes, in_chans, drop_rate, pool)

    def _head_width(self) -> int:
        return 4096 if self.hidden_paths else self.num_features


class TvGoogLeNet(AuxiliaryNet, TorchvisionNet):
    """With `aux_logits` it returns (logits, aux1's, aux2's) in training, aux1 being the earlier head.

    torchvision's own transform of its input is left out: the weights' mean and deviation of 0.5 do the same.
    """

    PARTS = (
        Part(("conv1", "maxpool1"), 64, 4),
        Part(("conv2", "conv3", "maxpool2"), 192, 2),
        Part(("inception3a",), 256),
        Part(("inception3b",), 480),
        Part(("maxpool3", "inception4a"), 512, 2),
        Part(("inception4b",), 512),
        Part(("inception4c",), 512),
        Part(("inception4d",), 528),
        Part(("inception4e",), 832),
        Part(("maxpool4", "inception5a"), 832, 2),
        Part(("inception5b",), 1024),
    )
    HIDDEN = ("dropout",)
    FIRST_CONV = "conv1.conv"
    AUXILIARY: ClassVar[dict[str, str]] = {"aux1": "inception4a", "aux2": "inception4d"}
    aux_logits = False

    def __init__(
        self,
        num_classes: int = 1000,
        in_chans: int = 3,
        drop_rate: float = 0.2,
        global_pool: str = "avg",
        aux_logits: bool = False,
        aux_drop_rate: float = 0.7,
    ):
        twin = tv.GoogLeNet(aux_logits=False, init_weights=True, dropout=drop_rate)
        super().__init__(twin, num_classes, in_chans, drop_rate, global_pool)
        self.aux_logits, self.aux_drop_rate = aux_logits, aux_drop_rate
        self._reset_auxiliary()

    def make_classifier(self, num_classes: int) -> nn.Module:
        return super().make_classifier(num_classes).apply(_truncated_init)

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        super().reset_classifier(num_classes, global_pool)
        self._reset_auxiliary()

    def _reset_auxiliary(self) -> None:
        for name, stage in self.AUXILIARY.items():
            if self.aux_logits and self.num_classes:
                head = InceptionAux(self.parts[stage].channels, self.num_classes, dropout=self.aux_drop_rate)
                self.add_module(name, head.apply(_truncated_init).to(**get_device_dtype(self)))
            elif hasattr(self, name):
                delattr(self, name)


class TvShuffleNetV2(TorchvisionNet):
    """Width 1. torchvision has no dropout in it; `drop_rate` stands before the classifier."""

    PARTS = (
        Part(("conv1", "maxpool"), 24, 4),
        Part(("stage2",), 116, 2, blocks=True),
        Part(("stage3",), 232, 2, blocks=True),
        Part(("stage4",), 464, 2, blocks=True),
        Part(("conv5",), 1024),
    )
    HIDDEN = ("head_drop",)
    FIRST_CONV = "conv1.0"

    def __init__(self, num_classes: int = 1000, in_chans: int = 3, drop_rate: float = 0.0, global_pool: str = "avg"):
        super().__init__(tv.shufflenet_v2_x1_0(), num_classes, in_chans, drop_rate, global_pool)
        self.head_drop = nn.Dropout(drop_rate)


class TvSqueezeNet(TorchvisionNet):
    """Version 1.1: the accuracy of 1.0 with 2.4 times fewer multiply-adds. The classifier is a 1x1 convolution,
    pooled after its ReLU."""

    PARTS = (
        Part(("features.0", "features.1", "features.2"), 64, 4),
        Part(("features.3",), 128),
        Part(("features.4",), 128),
        Part(("features.5", "features.6"), 256, 2),
        Part(("features.7",), 256),
        Part(("features.8", "features.9"), 384, 2),
        Part(("features.10",), 384),
        Part(("features.11",), 512),
        Part(("features.12",), 512),
    )
    HIDDEN = ("classifier.0",)
    CLASSIFIER = "classifier.1"
    FIRST_CONV = "features.0"

    def __init__(self, num_classes: int = 1000, in_chans: int = 3, drop_rate: float = 0.5, global_pool: str = "avg"):
        super().__init__(tv.squeezenet1_1(dropout=drop_rate), num_classes, in_chans, drop_rate, global_pool)

    def make_classifier(self, num_classes: int) -> nn.Module:
        if self.head_hidden_size != self.num_features:
            raise ValueError("two pools in one would make two logits of each class's map")
        return nn.Conv2d(self.num_features, num_classes, 1).apply(gaussian_init)

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        for path in self.hidden_paths:
            x = self.get_submodule(path)(x)
        return self.global_pool(x if pre_logits else self.get_classifier()(x).relu())


def keep_fitting(state: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """For timm's loader: without the auxiliary heads of the published GoogLeNet where `model` has none, or has new
    ones for other classes."""
    own = model.state_dict()
    return {
        key: value
        for key, value in state.items()
        if not key.startswith("aux") or (key in own and own[key].shape == value.shape)
    }


def _truncated_init(module: nn.Module) -> None:
    """As torchvision draws GoogLeNet's weights: N(0, 0.01^2), cut off at 2."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.01, a=-2, b=2)


def _cfg(file: str, first_conv: str, classifier: str, **more: Any) -> dict[str, Any]:
    settings = {"mean": IMAGENET_DEFAULT_MEAN, "std": IMAGENET_DEFAULT_STD, "crop_pct": 0.875}
    url = f"https://download.pytorch.org/models/{file}"
    return default_cfg(first_conv, (3, 224, 224), 1000, classifier=classifier, url=url, **settings | more)


_HALF = (0.5, 0.5, 0.5)
default_cfgs = generate_default_cfgs(
    {
        "tv_alexnet.in1k": _cfg("alexnet-owt-7be5be79.pth", "features.0", "classifier.6"),
        "tv_googlenet.in1k": _cfg("googlenet-1378be20.pth", "conv1.conv", "fc", mean=_HALF, std=_HALF),
        "tv_shufflenet_v2.in1k": _cfg("shufflenetv2_x1-5666bf0f80.pth", "conv1.0", "fc"),
        "tv_squeezenet.in1k": _cfg("squeezenet1_1-b8a52dc0.pth", "features.0", "classifier.1"),
    }
)


@register_model
def tv_alexnet(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(TvAlexNet, "tv_alexnet", pretrained, **kwargs)


@register_model
def tv_googlenet(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(TvGoogLeNet, "tv_googlenet", pretrained, pretrained_filter_fn=keep_fitting, **kwargs)


@register_model
def tv_shufflenet_v2(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(TvShuffleNetV2, "tv_shufflenet_v2", pretrained, **kwargs)


@register_model
def tv_squeezenet(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(TvSqueezeNet, "tv_squeezenet", pretrained, **kwargs)
