"""The network of airbench94.

Jordan, 94% on CIFAR-10 in 3.29 seconds on a single GPU, 2024 (arXiv:2404.00498).
"""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from timm.models import generate_default_cfgs, register_model
from torch import Tensor, nn

from cnntrain.models.base import Net, Stage, build, default_cfg

default_cfgs = generate_default_cfgs(
    {"airbench": default_cfg("whiten.conv", (3, 32, 32), 10, paper_ids="arXiv:2404.00498")}
)

SCALE = 1 / 9  # of the logits, and so of what the classifier, which has no bias, is given
SMALLEST = 5e-4  # added to a variance before it is divided by
GROUPS = {"group1": 64, "group2": 256, "group3": 256}  # channels


def _fixed(layer: nn.Module) -> nn.Module:
    """The same, whose weight is not trained: a buffer."""
    weight = layer.get_parameter("weight").detach()
    del layer.weight
    layer.register_buffer("weight", weight)
    return layer


def _whitening(channels: int) -> nn.Module:
    """A convolution of all 2x2 patches, (N, C, H, W) to (N, 8 C, H - 1, W - 1); its bias alone is trained."""
    conv = nn.Conv2d(channels, 8 * channels, 2)
    assert conv.bias is not None
    nn.init.zeros_(conv.bias)
    return _fixed(conv)


def _norm(channels: int) -> nn.Module:
    """Batch norm whose scale stays 1; of the running statistics 0.6 are kept in each step."""
    return _fixed(nn.BatchNorm2d(channels, eps=1e-12, momentum=1 - 0.6))


def _group(ins: int, outs: int) -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            conv1=_conv(ins, outs),
            pool=nn.MaxPool2d(2),
            norm1=_norm(outs),
            act1=nn.GELU(),
            conv2=_conv(outs, outs),
            norm2=_norm(outs),
            act2=nn.GELU(),
        )
    )


def _conv(ins: int, outs: int) -> nn.Conv2d:
    """Its first maps begin as those that it is given."""
    conv = nn.Conv2d(ins, outs, 3, padding=1, bias=False)
    with torch.no_grad():
        nn.init.dirac_(conv.weight[:ins])
    return conv


class Scaled(nn.Module):
    """Everything times `factor`."""

    def __init__(self, factor: float):
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


class Airbench(Net):
    """A whitening convolution, three groups of two convolutions, the largest value of each map; from 9x9 pixels on.

    Attributes:
        begins_from: training images from which `begin` computes the first layer's filters.
    """

    begins_from = 5000

    def __init__(self, num_classes: int = 10, in_chans: int = 3, drop_rate: float = 0.0):
        first = nn.Sequential(OrderedDict(conv=_whitening(in_chans), act=nn.GELU()))
        stages, ins = [Stage("whiten", first, 8 * in_chans)], 8 * in_chans
        for name, outs in GROUPS.items():
            stages.append(Stage(name, _group(ins, outs), outs, 2))
            ins = outs
        super().__init__(stages, num_classes=num_classes, in_chans=in_chans, drop_rate=drop_rate, global_pool="max")
        self.hidden = Scaled(SCALE)

    @torch.no_grad()
    def begin(self, batches: Iterable[Tensor]) -> None:
        """Compute the first layer's filters from normalised images (N, in_chans, H, W), in batches.

        They are the eigenvectors of the patches' covariance, divided by the deviation along them, and the same with
        the opposite sign.
        """
        weight = self.get_submodule("whiten.conv").get_buffer("weight")
        size = weight[0].numel()
        products, count = weight.new_zeros(size, size, dtype=torch.float64), 0
        for images in batches:
            patches = F.unfold(images.double(), 2).transpose(0, 1).flatten(1)  # a column each
            products += patches @ patches.T
            count += patches.shape[1]
        variances, vectors = torch.linalg.eigh(products / count)
        filters = (vectors / (variances + SMALLEST).sqrt()).T.flip(0)
        weight.copy_(torch.cat([filters, -filters]).view_as(weight))

    def make_classifier(self, num_classes: int) -> nn.Module:
        return nn.Linear(self.head_hidden_size, num_classes, bias=False)


@register_model
def airbench(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(Airbench, "airbench", pretrained, **kwargs)
