"""FractalNet: depth without residuals, from a rule that expands itself.

Larsson, Maire and Shakhnarovich, FractalNet: ultra-deep neural networks without residuals, 2016 (arXiv:1605.07648).
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from timm.layers import register_notrace_module
from timm.models import generate_default_cfgs, register_model
from torch import Tensor, nn

from cnntrain.models.base import Stage, build, default_cfg
from cnntrain.models.state_net import StateNet

FILTERS = (64, 128, 256, 512, 512)
DROP_RATES = (0.0, 0.1, 0.2, 0.3, 0.4)


@register_notrace_module  # one node of a traced graph, the same in training and evaluation
class ColumnDraw(nn.Module):
    """The only one of `columns` columns that this mini-batch trains, with probability `global_ratio`; else -1.

    It is drawn once for the whole net, by the first block in training: the others are given it as `column`. None
    stands for one not drawn, as in evaluation.
    """

    def __init__(self, columns: int, global_ratio: float):
        super().__init__()
        self.columns, self.global_ratio = columns, global_ratio

    def forward(self, x: Tensor, column: Tensor | None) -> Tensor | None:
        if column is not None or not self.training:
            return column
        draw = torch.randint(self.columns, (), device=x.device)
        return torch.where(torch.rand((), device=x.device) < self.global_ratio, draw, -1)

    def extra_repr(self) -> str:
        return f"columns={self.columns}, global_ratio={self.global_ratio}"


@register_notrace_module
class Join(nn.Module):
    """The mean of the columns that meet here; in training, of those that drop-path leaves.

    Without a global `column` (None, or negative) each is dropped with probability `drop_path_rate` on its own, but
    never all. With one, only that column stays; where it does not pass, nothing downstream uses the join, and all do.
    """

    def __init__(self, drop_path_rate: float):
        super().__init__()
        self.drop_path_rate = drop_path_rate

    def forward(self, columns: Sequence[Tensor], column: Tensor | None) -> Tensor:
        if not self.training:
            return sum(columns[1:], columns[0]) / len(columns)
        first = columns[0]
        keep = self._keep(len(columns), first.device, column).to(first.dtype)
        weights = keep / keep.sum()
        # dropped columns are multiplied by 0, not left out: no synchronisation with the device to decide, and each
        # parameter has a gradient, which DistributedDataParallel counts on
        return sum((weights[i] * x for i, x in enumerate(columns[1:], 1)), weights[0] * first)

    def _keep(self, count: int, device: torch.device, column: Tensor | None) -> Tensor:
        """Which of `count` columns stay: (count,) booleans."""
        draw = torch.rand(count, device=device)
        local = (draw >= self.drop_path_rate) | (draw == draw.max())
        if column is None:
            return local
        chosen = torch.arange(count, device=device) == column
        return torch.where(column < 0, local, chosen | (column >= count))

    def extra_repr(self) -> str:
        return f"drop_path_rate={self.drop_path_rate}"


def conv(ins: int, outs: int, drop_rate: float) -> nn.Sequential:
    """The block's base case. Dropout stands where the authors have it, before the norm."""
    layers = OrderedDict[str, nn.Module](conv=nn.Conv2d(ins, outs, 3, padding=1), drop=nn.Dropout(drop_rate))
    return nn.Sequential(layers | OrderedDict(bn=nn.BatchNorm2d(outs), act=nn.ReLU()))


class FractalBlock(nn.Module):
    """f_1 is a convolution, f_(c+1) the mean of a convolution and of f_c after f_c, for `columns` columns.

    Columns are numbered from the deepest: column c has a convolution every 2^c steps, and ends in a join with those
    deeper than itself. As the authors do it, joins that follow one another are one, and the 2x2 max-pooling at the
    block's end is done on each column before the last of them. (N, ins, H, W) to (N, outs, H // 2, W // 2), and with
    it the global column of drop-path for the next block.
    """

    def __init__(self, ins: int, outs: int, columns: int, drop_rate: float, join: Join, draw: ColumnDraw):
        super().__init__()
        self.draw = draw
        self.columns = nn.ModuleList()
        for column in range(columns):
            sizes = [ins] + [outs] * (2 ** (columns - 1 - column) - 1)
            self.columns.append(nn.ModuleList(conv(size, outs, drop_rate) for size in sizes))
        self.pool = nn.MaxPool2d(2)
        self.join = join

    def forward(self, state: Tensor | tuple[Tensor, Tensor | None]) -> tuple[Tensor, Tensor | None]:
        x, column = state if isinstance(state, tuple) else (state, None)
        column = self.draw(x, column)
        states, layers = [x] * len(self.columns), [convs.children() for convs in self.columns]
        steps = 2 ** (len(self.columns) - 1)
        for step in range(1, steps + 1):
            ending = [c for c in range(len(self.columns)) if step % 2**c == 0]
            outs = [next(layers[c])(states[c]) for c in ending]
            if step == steps:
                outs = [self.pool(out) for out in outs]
            joined = self.join(outs, column) if len(outs) > 1 else outs[0]
            for c in ending:
                states[c] = joined
        return states[0], column


def xavier_init(module: nn.Module) -> None:
    """For `Module.apply`: convolutions from Glorot and Bengio's uniform distribution, biases 0."""
    if isinstance(module, nn.Conv2d):
        nn.init.xavier_uniform_(module.weight)
        assert module.bias is not None
        nn.init.zeros_(module.bias)


class FractalNet(StateNet):
    """A block for each of `filters`, and the classifier; evaluation uses the whole net.

    For a mini-batch in training, drop-path is global (one column, of all blocks) with probability `global_ratio`, else
    local (`drop_path_rate`). `block_drop_rates` are the dropouts in the blocks, `drop_rate` the classifier's.
    """

    def __init__(
        self,
        columns: int = 3,
        num_classes: int = 10,
        in_chans: int = 3,
        drop_rate: float = 0.0,
        block_drop_rates: Sequence[float] = DROP_RATES,
        drop_path_rate: float = 0.15,
        global_ratio: float = 0.5,
        filters: Sequence[int] = FILTERS,
        global_pool: str = "avg",
    ):
        stages, ins = [], in_chans
        for index, (outs, rate) in enumerate(zip(filters, block_drop_rates, strict=True)):
            join, draw = Join(drop_path_rate), ColumnDraw(columns, global_ratio)
            block = FractalBlock(ins, outs, columns, rate, join, draw)
            stages.append(Stage(f"block{index + 1}", block, outs, 2))
            ins = outs
        super().__init__(
            stages, num_classes=num_classes, in_chans=in_chans, drop_rate=drop_rate, global_pool=global_pool
        )
        self.apply(xavier_init)


default_cfgs = generate_default_cfgs(
    {"fractalnet": default_cfg("block1.columns.0.0.conv", (3, 32, 32), 10, paper_ids="arXiv:1605.07648")}
)


@register_model
def fractalnet(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(FractalNet, "fractalnet", pretrained, **kwargs)
