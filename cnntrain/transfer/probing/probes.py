"""Linear classifiers at every depth of a network, many settings of each, computed side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from cnntrain.core.errors import ConfigError

EPS = 1e-8  # features of deep random layers may vary by a thousandth
POOLS = {"max": nn.AdaptiveMaxPool2d, "avg": nn.AdaptiveAvgPool2d}


def stage_maps(net: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """Each stage's map [batch, channels, height, width] in evaluation mode, under the stage's name.

    Raises:
        ConfigError: timm cannot return the stages' maps of such a network.
    """
    if not hasattr(net, "forward_intermediates"):
        raise ConfigError(
            f"timm does not give the stages of {type(net).__name__} (it has no forward_intermediates), which "
            "transfer=probe_depths and auto look at; take another model or another policy"
        )
    training = net.training
    try:
        maps: list[Tensor] = cast(Any, net.eval()).forward_intermediates(images, intermediates_only=True)
    finally:
        net.train(training)
    info = [each["module"] for each in cast(Any, net).feature_info]
    names = info if len(info) == len(maps) else [f"stage{number}" for number in range(len(maps))]
    return dict(zip(names, maps, strict=True))


class DepthFeatures(nn.Module):
    """A network's maps after each stage, pooled to about equally many values: images to a list of [batch, features].

    A map of C channels is pooled to a side of floor(sqrt(features / C)), at most its own. What follows the last stage
    is removed from the network.

    Attributes:
        names: of the stages.
        sizes: how many features each gives.
    """

    def __init__(self, net: nn.Module, image: Tensor, features: int, pool: str):
        """`image` is one [1, channels, height, width]; raises ConfigError where timm cannot return the stages' maps."""
        super().__init__()
        self.net = cast(Any, net)
        with torch.no_grad():
            stages = stage_maps(net, image)
        self.names, maps = list(stages), list(stages.values())
        if hasattr(net, "prune_intermediate_layers"):
            self.net.prune_intermediate_layers(list(range(len(maps))), prune_head=True)
        sides = [tuple(min(max(1, isqrt(features // each.shape[1])), side) for side in each.shape[2:]) for each in maps]
        self.pools = nn.ModuleList(POOLS[pool](side) for side in sides)
        self.sizes = [each.shape[1] * side[0] * side[1] for each, side in zip(maps, sides, strict=True)]

    def forward(self, images: Tensor) -> list[Tensor]:
        maps = self.net.forward_intermediates(images, intermediates_only=True)
        return [pool(each).flatten(1) for pool, each in zip(self.pools, maps, strict=True)]


class Bank(nn.Module):
    """Linear classifiers on the same features: [batch, features] to logits [settings, batch, classes].

    They share nothing but the features, so each is trained as if alone, and all are one matrix product. They start
    from zeros, which in a convex problem is as good as anything and for all the same.
    """

    may_diverge = True  # each of its settings by itself

    def __init__(self, settings: int, features: int, classes: int, normalize: bool):
        """`normalize`: each feature is standardised over the training images (in training over the batch)."""
        super().__init__()
        self.classes = classes
        # momentum=None: the mean over all batches so far, since the features do not change
        norm = nn.BatchNorm1d(features, eps=EPS, momentum=None, affine=False) if normalize else nn.Identity()
        self.norm: nn.Module = norm
        self.weights = nn.ParameterList(torch.zeros(classes, features) for _ in range(settings))
        self.biases = nn.ParameterList(torch.zeros(classes) for _ in range(settings))

    def forward(self, features: Tensor) -> Tensor:
        weight, bias = torch.cat(list(self.weights)), torch.cat(list(self.biases))
        return linear(self.norm(features), weight, bias).unflatten(1, (-1, self.classes)).transpose(0, 1)


@dataclass(frozen=True)
class Probed:
    """What a bank is on."""

    depth: str
    features: int
    random: bool  # of a network with random weights beside the model


class Probes(nn.Module):
    """Banks at every depth of a network, and of one with random weights beside it.

    Images to logits [settings, batch, classes]: all settings of the first depth, then of the next; the random
    network's after all of the model's.
    """

    def __init__(
        self,
        backbone: DepthFeatures,
        random: DepthFeatures | None,
        classes: int,
        grid: Sequence[tuple[float, float]],
        normalize: bool,
    ):
        """`grid`: for each setting the factors on the learning rate and on the weight decay."""
        super().__init__()
        self.backbone = backbone
        self.random = random
        self.grid = list(grid)
        self.small_stem: bool = getattr(backbone.net, "small_stem", False)
        nets = [(backbone, False), *([(random, True)] if random is not None else [])]
        self.probed = [
            Probed(name, size, is_random)
            for net, is_random in nets
            for name, size in zip(net.names, net.sizes, strict=True)
        ]
        self.heads = nn.ModuleList(Bank(len(self.grid), each.features, classes, normalize) for each in self.probed)

    def forward(self, images: Tensor) -> Tensor:
        features = self.features(images)
        return torch.cat([head(each) for head, each in zip(self.heads, features, strict=True)])

    def features(self, images: Tensor) -> list[Tensor]:
        """What the banks are given, one [batch, features] each."""
        return self.backbone(images) + (self.random(images) if self.random is not None else [])

    def get_classifier(self) -> nn.ModuleList:
        return self.heads

    def group_matcher(self, coarse: bool = False) -> dict[str, str]:
        return {name: rf"^{name}\." for name in ("backbone", "random", "heads")}

    def settings(self) -> dict[str, tuple[float, float]]:
        """For each trained parameter, by its name, the entry of the grid that it belongs to."""
        return {
            f"heads.{number}.{kind}.{setting}": factors
            for number in range(len(self.heads))
            for kind in ("weights", "biases")
            for setting, factors in enumerate(self.grid)
        }
