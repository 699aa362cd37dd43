"""Networks of repeated cells whose inside is searched.

Zoph, Vasudevan, Shlens and Le, Learning transferable architectures for scalable image recognition, 2017
(arXiv:1707.07012). The two results of a block are added, never concatenated.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cnntrain.models.base import Blocks, Stage, he_init
from cnntrain.models.state_net import Activation, StateNet

State = Tensor | tuple[Tensor, Tensor]  # the stem's map; the last map and the one before


def conv_steps(
    ins: int, outs: int, kernels: Sequence[tuple[int, int]], stride: int, dilation: int = 1
) -> nn.Sequential:
    """ReLU, convolution and norm for each kernel, the first of which has the stride."""
    steps: list[nn.Module] = []
    for number, (height, width) in enumerate(kernels):
        padding = dilation * (height // 2), dilation * (width // 2)
        of = ins if number == 0 else outs
        conv = nn.Conv2d(of, outs, (height, width), stride if number == 0 else 1, padding, dilation, bias=False)
        steps += [nn.ReLU(), conv, nn.BatchNorm2d(outs)]
    return nn.Sequential(*steps)


def separable(channels: int, kernel: int, stride: int) -> nn.Sequential:
    """Twice ReLU, a convolution of each channel, one over channels, and norm, as in the paper."""
    steps: list[nn.Module] = []
    for step in (stride, 1):
        depth = nn.Conv2d(channels, channels, kernel, step, kernel // 2, groups=channels, bias=False)
        steps += [nn.ReLU(), depth, nn.Conv2d(channels, channels, 1, bias=False), nn.BatchNorm2d(channels)]
    return nn.Sequential(*steps)


def operation(name: str, channels: int, stride: int) -> nn.Module:
    """One of `genotypes.OPERATIONS`, from a map to one of as many channels, `stride` times smaller."""
    if name == "identity":
        return nn.Identity() if stride == 1 else conv_steps(channels, channels, [(1, 1)], stride)
    if name.startswith("sep"):
        return separable(channels, int(name[3:]), stride)
    if name.startswith("max"):
        return nn.MaxPool2d(int(name[3:]), stride, int(name[3:]) // 2)
    if name.startswith("avg"):
        return nn.AvgPool2d(int(name[3:]), stride, int(name[3:]) // 2, count_include_pad=False)
    kernels = {
        "conv1": [(1, 1)], "conv3": [(3, 3)], "conv1x3_3x1": [(1, 3), (3, 1)], "conv1x7_7x1": [(1, 7), (7, 1)],
        "dil3": [(3, 3)],
    }  # fmt: skip
    return conv_steps(channels, channels, kernels[name], stride, 2 if name == "dil3" else 1)


class Cell(nn.Module):
    """Blocks, each the sum of two operations on maps before it; what no block takes is joined in depth.

    `shrink` is how many times larger the earlier of its two inputs is; the last map sets the size.
    """

    def __init__(
        self, blocks: Sequence[Sequence[Any]], before: int, last: int, channels: int, stride: int, shrink: int
    ):
        super().__init__()
        self.fit_before = conv_steps(before, channels, [(1, 1)], shrink)
        self.fit_last = conv_steps(last, channels, [(1, 1)], 1)
        self.inputs = [(block[0], block[2]) for block in blocks]
        self.operations = nn.ModuleList(
            operation(name, channels, stride if of < 2 else 1)
            for first, op, second, other in blocks
            for of, name in ((first, op), (second, other))
        )
        used = {each for pair in self.inputs for each in pair}
        self.ends = [2 + number for number in range(len(blocks)) if 2 + number not in used]
        self.channels = channels * len(self.ends)

    def forward(self, state: State) -> State:
        last, before = state if isinstance(state, tuple) else (state, state)
        maps = [self.fit_before(before), self.fit_last(last)]
        for number, (first, second) in enumerate(self.inputs):
            one, other = self.operations[2 * number], self.operations[2 * number + 1]
            maps.append(one(maps[first]) + other(maps[second]))
        return torch.cat([maps[each] for each in self.ends], 1), last


class CellNet(StateNet):
    """A convolution and three stages of `repeats` normal cells; a reduction cell before the second and the third
    halves the map and doubles the filters.
    """

    def __init__(
        self,
        genotype: Mapping[str, Any],
        repeats: int | None = None,
        filters: int | None = None,
        num_classes: int = 10,
        in_chans: int = 3,
        drop_rate: float = 0.0,
        global_pool: str = "avg",
    ):
        repeats, filters = repeats or genotype["repeats"], filters or genotype["filters"]
        conv = nn.Conv2d(in_chans, filters, 3, 1, 1, bias=False)
        stem = nn.Sequential(OrderedDict(conv=conv, bn=nn.BatchNorm2d(filters)))
        stages, before, last, shrink = [Stage("stem", stem, filters)], filters, filters, 1
        for number in range(3):
            channels, cells = filters * 2**number, []
            for index in range(repeats + (number > 0)):
                reduces = number > 0 and index == 0
                blocks = genotype["reduction" if reduces else "normal"]
                cell = Cell(blocks, before, last, channels, 2 if reduces else 1, shrink)
                cells.append(cell)
                before, last, shrink = last, cell.channels, 2 if reduces else 1
            stages.append(Stage(f"stage{number + 1}", Blocks(*cells), last, 2 if number else 1))
        stages.append(Stage("act", Activation(), last))
        super().__init__(
            stages, num_classes=num_classes, in_chans=in_chans, drop_rate=drop_rate, global_pool=global_pool
        )
        self.apply(he_init)
