"""The stem for small images: ImageNet nets halve an image twice before their first stage, which leaves 32x32 images
with 1x1 features at the end.
"""

from __future__ import annotations

from typing import Any

from torch import nn

# (first convolution, pooling behind it) of the families; a convolution without pooling only loses its stride
STEMS = (
    ("conv1", "maxpool"),  # timm's ResNet, ResNeXt, Wide ResNet, SE-ResNet
    ("stem.conv", "stem.pool"),  # timm's pre-activation ResNets; plain and option-A ResNets, ShuffleNet
    ("features.conv0", "features.pool0"),  # DenseNet
    ("conv_stem", None),  # MobileNet, EfficientNet
)


def use_cifar_stem(model: Any) -> bool:
    """Make the first convolution 3x3 at stride 1 and drop the pooling; False where the family has no such stem.

    A 7x7 convolution is replaced, with new weights (He et al. 2015, section 4.2, on CIFAR); a 3x3 one keeps its weights
    and loses its stride.
    """
    for conv_path, pool_path in STEMS:
        conv = _find(model, conv_path)
        pool = _find(model, pool_path) if pool_path else None
        if not isinstance(conv, nn.Conv2d) or (pool_path is not None and pool is None):
            continue
        if conv.kernel_size[0] > 3:
            _replace(model, conv_path, _three_by_three(conv))
        else:
            conv.stride = (1, 1)
        reduction = 2 if pool_path is None else 4
        if pool_path is not None:
            _replace(model, pool_path, nn.Identity())
        _rescale_feature_info(model, reduction)
        model.small_stem = True  # for people: a run's first lines show it
        return True
    return False


def _three_by_three(conv: nn.Conv2d) -> nn.Conv2d:
    new = nn.Conv2d(conv.in_channels, conv.out_channels, 3, 1, 1, bias=conv.bias is not None)
    nn.init.kaiming_normal_(new.weight, mode="fan_out", nonlinearity="relu")
    return new.to(conv.weight.device)


def _find(model: nn.Module, path: str) -> nn.Module | None:
    return dict(model.named_modules()).get(path)


def _replace(model: nn.Module, path: str, module: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(model.get_submodule(parent), name, module)


def _rescale_feature_info(model: Any, factor: int) -> None:
    """The stages' strides, which feature extraction reports, are smaller by the stem's."""
    for info in getattr(model, "feature_info", []):
        info["reduction"] = max(1, info["reduction"] // factor)
