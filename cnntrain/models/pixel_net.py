"""The base of networks that answer for each pixel: what is needed of timm's interface."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import timm.models
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from cnntrain.core.targets import Target


class PixelNet(nn.Module):
    """Images (N, in_chans, H, W) to logits (N, num_classes, H, W).

    `HEAD` names the module that is new for other classes, and that a linear probe trains; `fixed` names parameters that
    no policy trains; `map_names` the modules whose outputs are the maps before the head, the finest first; `rim` how
    many pixels around an image these maps are of, too.
    """

    HEAD: ClassVar[str] = "head"
    fixed: ClassVar[Sequence[str]] = ()
    map_names: Sequence[str] = ()
    rim: ClassVar[int] = 0
    target: ClassVar[Target] = "mask"
    pretrained_cfg: Mapping[str, Any]

    def __init__(self, num_classes: int, in_chans: int):
        super().__init__()
        self.num_classes = num_classes
        self.in_chans = in_chans

    @property
    def small_stem(self) -> bool:
        """Whether the first layers of its trunk are those for small images; a checkpoint tells."""
        return any(getattr(each, "small_stem", False) for each in self.children())

    def get_classifier(self) -> nn.Module:
        return self.get_submodule(self.HEAD)


def enlarged(maps: Tensor, like: Tensor) -> Tensor:
    """Maps interpolated bilinearly to the height and width of others."""
    return interpolate(maps, size=(like.shape[-2], like.shape[-1]), mode="bilinear", align_corners=False)


def without_in_place(net: nn.Module) -> None:
    """No activation works in place, so that a map that was kept stays what it was."""
    for module in net.modules():
        if getattr(module, "inplace", False):
            setattr(module, "inplace", False)  # noqa: B010 (mypy knows no such attribute)


def bilinear(channels: int, kernel: int) -> Tensor:
    """[channels, channels, kernel, kernel]: weights by which a transposed convolution interpolates each map by itself,
    in float32."""
    center = (kernel - 1) / 2
    near = 1 - (torch.arange(kernel) - center).abs() / ((kernel + 1) // 2)
    weight = torch.zeros(channels, channels, kernel, kernel)
    weight[range(channels), range(channels)] = near[:, None] * near
    return weight


def build(net: Callable[..., PixelNet], variant: str, pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """What an entrypoint returns."""
    return timm.models.build_model_with_cfg(net, variant, pretrained, **kwargs)
