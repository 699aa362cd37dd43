"""What several families share: response normalisation, branches, crops, a head on a flattened map."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import torch
import torch.nn.functional as F
from timm.layers import to_2tuple
from torch import Tensor, nn

from cnntrain.models.base import FullyConnected, Net, Stage


def response_norm() -> nn.LocalResponseNorm:
    """Krizhevsky et al. 2012, section 3.3: x / (2 + 1e-4 * the sum of x^2 over 5 neighbouring maps) ^ 0.75.

    torch takes the mean of the neighbours where the paper takes their sum: hence 5 times the paper's alpha.
    """
    return nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)


ACTS: dict[str, Callable[[], nn.Module]] = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh}


def exchange_acts(net: nn.Module, act: str) -> None:
    """Put another activation in the place of each ReLU; names stay.

    Raises ValueError where there is no such activation.
    """
    if act not in ACTS:
        raise ValueError(f"act must be one of {', '.join(ACTS)}, not {act!r}")
    for parent in list(net.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.ReLU and act != "relu":
                setattr(parent, name, ACTS[act]())


def conv_relu(ins: int, outs: int, kernel: int, stride: int = 1, padding: int | None = None) -> nn.Sequential:
    """Convolution with a bias, ReLU; without `padding` an odd kernel keeps the size at stride 1."""
    conv = nn.Conv2d(ins, outs, kernel, stride, kernel // 2 if padding is None else padding)
    return nn.Sequential(OrderedDict(conv=conv, act=nn.ReLU()))


def cropped(maps: Tensor, like: Tensor, start: int = 0) -> Tensor:
    """Maps [N, C, height, width] without what lies outside of `like`'s sides, from `start` on, of both.

    By negative padding: the gradient of a slice is in torch's own memory format, whatever that of the maps is, and the
    rest of a backward pass with the channels last then reads two formats at once.
    """
    sides = [(start, have - start - want) for have, want in zip(maps.shape[2:], like.shape[2:], strict=True)]
    if not any(map(any, sides)):
        return maps
    (top, bottom), (left, right) = sides
    return F.pad(maps, (-left, -right, -top, -bottom))


class Branches(nn.Sequential):
    """The same input through each branch: (N, C, H, W) to (N, sum of the branches' channels, h, w)."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self], 1)


def branches(**named: nn.Module) -> Branches:
    return Branches(OrderedDict(named))


def gaussian_init(module: nn.Module) -> None:
    """For `Module.apply`: weights from N(0, 0.01^2), biases 0, as in AlexNet, ZFNet and VGG.

    VGG's paper says that 0.01 is the variance. The logits of its smallest net would then begin beyond 10,000, so the
    deviation is taken to be meant.
    """
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.normal_(module.weight, std=0.01)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def glorot_init(module: nn.Module) -> None:
    """For `Module.apply`: Glorot and Bengio 2010, uniform with variance 2 / (fan_in + fan_out), biases 0."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


class FlatNet(Net):
    """Stages in sequence, their flattened map, two hidden layers of `hidden_size` with dropout, the classifier.

    The flattened map fixes the image size (pixels, or (H, W)): a net built for one size raises RuntimeError on
    another. Raises ValueError, which names the smallest size, where the stages leave nothing to flatten.
    """

    init = staticmethod(gaussian_init)

    def __init__(
        self,
        stages: Sequence[Stage],
        img_size: int | tuple[int, int],
        hidden_size: int,
        *,
        drop_rate: float,
        **more: Any,
    ):
        pixels = flat_pixels(type(self).__name__, stages, img_size)
        sizes = (stages[-1].channels * pixels, hidden_size, hidden_size)
        hidden = FullyConnected(sizes, drop_rate=drop_rate)
        super().__init__(stages, drop_rate=drop_rate, global_pool=nn.Flatten(), hidden=hidden, **more)
        for part in (*(stage.module for stage in stages), hidden):
            part.apply(self.init)

    def make_classifier(self, num_classes: int) -> nn.Module:
        return super().make_classifier(num_classes).apply(self.init)


def flat_pixels(name: str, stages: Sequence[Stage], img_size: int | tuple[int, int]) -> int:
    """Pixels of the map that `stages` of convolutions and max-pools in sequence make of such an image.

    Raises ValueError where there is none; it names the smallest image that gives one.
    """
    sides = [_map_side(stages, side) for side in to_2tuple(img_size)]
    if min(sides) < 1:
        least = next(side for side in count(1) if _map_side(stages, side) >= 1)
        raise ValueError(f"{name} needs images of at least {least}x{least} pixels, not {img_size}")
    return sides[0] * sides[1]


def _map_side(stages: Sequence[Stage], side: int) -> int:
    """(side - kernel + 2 padding) / stride + 1 after each window, rounded down; at most 0 where one does not fit."""
    for stage in stages:
        for window in stage.module.modules():
            if isinstance(window, nn.Conv2d | nn.MaxPool2d):
                kernel, stride, padding = (
                    to_2tuple(value)[0] for value in (window.kernel_size, window.stride, window.padding)
                )
                side = (side - kernel + 2 * padding) // stride + 1
                if side < 1:
                    return 0
    return side
