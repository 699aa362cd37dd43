"""torchvision's nets for videos (N, C, T, H, W), under timm's protocol and with torchvision's keys, so that its
published state dicts load by ``model.weights``.

R3D-18, MC3-18 and R(2+1)D-18: Tran et al. 2018 (arXiv:1711.11248). S3D: Xie et al. 2018 (arXiv:1712.04851).
"""

from typing import Any

import torchvision.models.video as tv
from timm.models import generate_default_cfgs, register_model, register_notrace_module
from torch import Tensor, nn
from torch.nn.functional import avg_pool3d

from cnntrain.models.base import GlobalMean, build, default_cfg
from cnntrain.models.torchvision_adapter import Part, TorchvisionNet


class VideoResNet(TorchvisionNet):
    """Eighteen layers; `variant` is torchvision's constructor. A frame alone is taken, too."""

    PARTS = (
        Part(("stem",), 64, 2),
        Part(("layer1",), 64, blocks=True),
        Part(("layer2",), 128, 2, blocks=True),
        Part(("layer3",), 256, 2, blocks=True),
        Part(("layer4",), 512, 2, blocks=True),
    )
    HIDDEN = ("head_drop",)
    FIRST_CONV = "stem.0"

    def __init__(self, variant: str, num_classes: int = 400, in_chans: int = 3, drop_rate: float = 0.0):
        super().__init__(getattr(tv, variant)(), num_classes, in_chans, drop_rate, GlobalMean())
        self.head_drop = nn.Dropout(drop_rate)


class R3D18(VideoResNet):
    def __init__(self, **kwargs: Any):
        super().__init__("r3d_18", **kwargs)


class MC318(VideoResNet):
    def __init__(self, **kwargs: Any):
        super().__init__("mc3_18", **kwargs)


class R2Plus1D18(VideoResNet):
    def __init__(self, **kwargs: Any):
        super().__init__("r2plus1d_18", **kwargs)


@register_notrace_module  # a window that depends on the map
class WindowMeans(nn.Module):
    """The mean over all windows of 2x7x7 positions, or of as many as there are: (N, C, T, H, W) to (N, C)."""

    def forward(self, x: Tensor) -> Tensor:
        window = [min(most, size) for most, size in zip((2, 7, 7), x.shape[2:], strict=True)]
        return avg_pool3d(x, window, 1).flatten(2).mean(2)


class S3D(TorchvisionNet):
    """The classifier is a 1x1x1 convolution. Smaller volumes than torchvision's, of 14 frames of 224x224, are taken."""

    PARTS = (
        Part(("features.0", "features.1"), 64, 4),
        Part(("features.2", "features.3", "features.4"), 192, 2),
        Part(("features.5",), 256),
        Part(("features.6", "features.7"), 480, 2),
        Part(("features.8",), 512),
        Part(("features.9",), 512),
        Part(("features.10",), 512),
        Part(("features.11",), 528),
        Part(("features.12", "features.13"), 832, 2),
        Part(("features.14",), 832),
        Part(("features.15",), 1024),
    )
    HIDDEN = ("classifier.0",)
    CLASSIFIER = "classifier.1"
    FIRST_CONV = "features.0.0.0"

    def __init__(self, num_classes: int = 400, in_chans: int = 3, drop_rate: float = 0.2):
        super().__init__(tv.s3d(dropout=drop_rate), num_classes, in_chans, drop_rate, WindowMeans())

    def make_classifier(self, num_classes: int) -> nn.Module:
        return nn.Conv3d(self.num_features, num_classes, 1)

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        x = super().forward_head(x, pre_logits=True)
        return x if pre_logits or not self.num_classes else self.get_classifier()(x[..., None, None, None]).flatten(1)


def _cfg(first_conv: str, side: int, classifier: str) -> dict[str, Any]:
    mean, std = (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)  # of Kinetics-400
    return default_cfg(first_conv, (3, 16, side, side), 400, classifier=classifier, mean=mean, std=std)


default_cfgs = generate_default_cfgs(
    {
        **dict.fromkeys(("r3d_18", "mc3_18", "r2plus1d_18"), _cfg("stem.0", 112, "fc")),
        "s3d": _cfg("features.0.0.0", 224, "classifier.1"),
    }
)


@register_model
def r3d_18(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(R3D18, "r3d_18", pretrained, **kwargs)


@register_model
def mc3_18(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(MC318, "mc3_18", pretrained, **kwargs)


@register_model
def r2plus1d_18(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(R2Plus1D18, "r2plus1d_18", pretrained, **kwargs)


@register_model
def s3d(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(S3D, "s3d", pretrained, **kwargs)
