"""NASNet-A (4 @ 1056), the mobile one, out of the cells of timm's nasnetalarge.

Zoph, Vasudevan, Shlens and Le, Learning transferable architectures for scalable image recognition, 2017
(arXiv:1707.07012). The paper's auxiliary head is not here; the mobile net is trained without drop-path.
"""

from typing import Any

from timm.layers import ConvNormAct
from timm.models import generate_default_cfgs, register_model
from timm.models.nasnet import CellStem0, CellStem1, FirstCell, NormalCell, ReductionCell0
from torch import Tensor, nn

from cnntrain.models.base import Blocks, Stage, build, default_cfg
from cnntrain.models.state_net import Activation, StateNet

# a cell takes the two maps before it: what passes from cell to cell is (the last map, the one before)
State = Tensor | tuple[Tensor, Tensor]


class Stem(nn.Module):
    """The stem's convolution to the outputs of the two stem cells, each of which halves the map."""

    def __init__(self, stem_size: int, channels: int):
        super().__init__()
        self.cell0 = CellStem0(stem_size, channels // 4, pad_type="same")
        self.cell1 = CellStem1(stem_size, channels // 2, pad_type="same")

    def forward(self, x: Tensor) -> State:
        first = self.cell0(x)
        return self.cell1(x, first), first


class Cell(nn.Module):
    """One of timm's cells. With `skip`, the next cell's earlier map is not this one's input but the one before it."""

    def __init__(self, cell: nn.Module, skip: bool = False):
        super().__init__()
        self.cell, self.skip = cell, skip

    def forward(self, state: tuple[Tensor, Tensor]) -> State:
        x, before = state
        return self.cell(x, before), before if self.skip else x


def cells(count: int, width: int, left: int, right: int) -> list[Cell]:
    """A first cell, which fits its inputs' sizes to one another, and `count` - 1 normal cells: 6 * width channels.

    `left` and `right` are the channels of the earlier and of the last map that they are given.
    """
    layers = [Cell(FirstCell(left, width // 2, right, width, pad_type="same"))]
    left, right = right, 6 * width
    for _ in range(count - 1):
        layers.append(Cell(NormalCell(left, width, right, width, pad_type="same")))
        left = right
    return layers


def reduced(count: int, width: int, ins: int, skip: bool) -> list[Cell]:
    """A reduction cell on two maps of `ins` channels, and `cells`."""
    reduction = ReductionCell0(ins, width, ins, width, pad_type="same")
    return [Cell(reduction, skip), *cells(count, width, ins, 4 * width)]


class NASNetA(StateNet):
    """A convolution, two stem cells, three stages of `cell_count` cells; `num_features` channels in the end.

    `skip_reduction_input`: the cell after a reduction cell does not take that one's input, as in the large net.
    """

    def __init__(
        self,
        cell_count: int = 4,
        num_features: int = 1056,
        stem_size: int = 32,
        skip_reduction_input: bool = False,
        num_classes: int = 1000,
        in_chans: int = 3,
        drop_rate: float = 0.0,
        global_pool: str = "avg",
    ):
        width = num_features // 24
        conv = ConvNormAct(in_chans, stem_size, 3, 2, padding=0, norm_kwargs={"eps": 0.001}, apply_act=False)
        stages = [
            Stage("conv0", conv, stem_size, 2),
            Stage("stem", Stem(stem_size, width), 2 * width, 4),
            Stage("stage1", Blocks(*cells(cell_count, width, width, 2 * width)), 6 * width),
            Stage("stage2", Blocks(*reduced(cell_count, 2 * width, 6 * width, skip_reduction_input)), 12 * width, 2),
            Stage("stage3", Blocks(*reduced(cell_count, 4 * width, 12 * width, skip_reduction_input)), 24 * width, 2),
            Stage("act", Activation(), 24 * width),
        ]
        super().__init__(
            stages, num_classes=num_classes, in_chans=in_chans, drop_rate=drop_rate, global_pool=global_pool
        )
        for module in self.modules():
            if isinstance(module, nn.ReLU):
                module.inplace = False  # timm's overwrite a norm's output, which a hook on the norm would then see


default_cfgs = generate_default_cfgs(
    {"nasnetamobile": default_cfg("conv0.conv", (3, 224, 224), 1000, paper_ids="arXiv:1707.07012")}
)


@register_model
def nasnetamobile(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(NASNetA, "nasnetamobile", pretrained, **kwargs)
