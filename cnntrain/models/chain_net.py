"""Networks of the first architecture search: convolutions with filters of any height and width, joined by skips.

Zoph and Le, Neural architecture search with reinforcement learning, 2017 (arXiv:1611.01578).
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from cnntrain.models.base import Stage, he_init
from cnntrain.models.state_net import StateNet

Maps = Tensor | tuple[Tensor, ...]  # the image; the last map, the image and the maps of all layers so far


def joined(maps: Sequence[Tensor]) -> Tensor:
    """The maps (N, C, h, w) after one another in depth; smaller ones get zeros to the right and below."""
    height, width = max(each.shape[2] for each in maps), max(each.shape[3] for each in maps)
    padded = [functional.pad(each, (0, width - each.shape[3], 0, height - each.shape[2])) for each in maps]
    return torch.cat(padded, 1)


class ChainLayer(nn.Module):
    """Convolution, norm and ReLU of the earlier layers' maps, joined; of the image where there are none."""

    def __init__(self, ins: int, layer: Mapping[str, Any]):
        super().__init__()
        kernel = layer["height"], layer["width"]
        padding = kernel[0] // 2, kernel[1] // 2
        conv = nn.Conv2d(ins, layer["filters"], kernel, layer["stride"], padding, bias=False)
        self.op = nn.Sequential(OrderedDict(conv=conv, bn=nn.BatchNorm2d(layer["filters"]), act=nn.ReLU()))
        self.inputs = list(layer["inputs"])

    def forward(self, state: Maps) -> Maps:
        maps = state[1:] if isinstance(state, tuple) else (state,)
        taken = [maps[1 + each] for each in self.inputs] or [maps[0]]
        found = self.op(joined(taken) if len(taken) > 1 else taken[0])
        return found, *maps, found


class Join(nn.Module):
    """The maps that no layer takes, joined."""

    def __init__(self, ends: Sequence[int]):
        super().__init__()
        self.ends = list(ends)

    def forward(self, state: tuple[Tensor, ...]) -> Tensor:
        return joined([state[2 + each] for each in self.ends])


class ChainNet(StateNet):
    """The network of a genotype of the space ``chain``: `layer0` and so on, and `join`, averages and a classifier."""

    def __init__(
        self,
        genotype: Mapping[str, Any],
        num_classes: int = 10,
        in_chans: int = 3,
        drop_rate: float = 0.0,
        global_pool: str = "avg",
    ):
        layers, stages, reductions = genotype["layers"], [], list[int]()
        for number, layer in enumerate(layers):
            ins = sum(layers[each]["filters"] for each in layer["inputs"]) or in_chans
            stages.append(Stage(f"layer{number}", ChainLayer(ins, layer), layer["filters"]))
            reductions.append(layer["stride"] * min((reductions[each] for each in layer["inputs"]), default=1))
        used = {each for layer in layers for each in layer["inputs"]}
        ends = [number for number in range(len(layers)) if number not in used]
        stages.append(Stage("join", Join(ends), sum(layers[each]["filters"] for each in ends)))
        reductions.append(min(reductions[each] for each in ends))
        super().__init__(
            stages, num_classes=num_classes, in_chans=in_chans, drop_rate=drop_rate, global_pool=global_pool
        )
        for info, reduction in zip(self.feature_info, reductions, strict=True):
            info["reduction"] = reduction
        self.apply(he_init)
