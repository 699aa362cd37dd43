"""LeNet-5 as it was published, with its trainable pools, sparse connections and code outputs.

LeCun, Bottou, Bengio and Haffner, Gradient-based learning applied to document recognition, 1998, section II.B.
"""

import random
from collections import OrderedDict
from itertools import islice
from math import prod
from typing import Any

import torch
from timm.layers import to_2tuple
from timm.models import generate_default_cfgs, register_model
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, conv2d

from cnntrain.models.base import FullyConnected, Net, Stage, build, default_cfg

_PAPER = "Gradient-based learning applied to document recognition"
default_cfgs = generate_default_cfgs(
    {"lenet5_1998": default_cfg("conv1.conv", (1, 32, 32), 10, fixed_input_size=True, paper_name=_PAPER)}
)

# Table I: which of S2's six maps each of C3's sixteen sees: three neighbours, four, four apart, all.
CONNECTIONS = (
    *(tuple(sorted((first + step) % 6 for step in range(3))) for first in range(6)),
    *(tuple(sorted((first + step) % 6 for step in range(4))) for first in range(6)),
    *((0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5)),
    tuple(range(6)),
)

# The digits 0 to 9, each 7 wide and 12 high, as the paper's codes are (these are drawn anew, not its own).
BITMAPS = """
..###.. ...#... .#####. .#####. ....##. ####### ..####. ####### .#####. .#####.
.##.##. ..##... ##...## ##...## ...###. ##..... .##.... .....## ##...## ##...##
##...## .###... ##...## .....## ...###. ##..... ##..... .....## ##...## ##...##
##...## ...#... .....## .....## ..#.##. ##..... ##..... ....##. ##...## ##...##
##...## ...#... .....## .....## ..#.##. ######. ##..... ....##. .##.##. ##...##
##...## ...#... ....##. ..####. .#..##. ##...## ######. ...##.. ..###.. .######
##...## ...#... ...##.. .....## .#..##. .....## ##...## ...##.. .##.##. .....##
##...## ...#... ..##... .....## #...##. .....## ##...## ..##... ##...## .....##
##...## ...#... .##.... .....## ####### .....## ##...## ..##... ##...## .....##
##...## ...#... ##..... ##...## ....##. ##...## ##...## .##.... ##...## .....##
.##.##. ...#... ##..... ##...## ....##. ##...## .##.##. .##.... ##...## ....##.
..###.. .#####. ####### .#####. ....##. .#####. ..###.. ##..... .#####. .####..
"""
CODE_SIZE = 7 * 12


class ScaledTanh(nn.Module):
    """1.7159 tanh(2x / 3), which is 1 at 1 and -1 at -1, where it bends most (appendix A)."""

    def forward(self, x: Tensor) -> Tensor:
        return 1.7159 * torch.tanh(x * (2 / 3))


class Subsample(nn.Module):
    """(N, C, H, W) to (N, C, H / 2, W / 2): the sum of 2x2 pixels, times a weight, plus a bias, of each map."""

    def __init__(self, channels: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels))
        self.bias = nn.Parameter(torch.empty(channels))

    def forward(self, x: Tensor) -> Tensor:
        return 4 * avg_pool2d(x, 2) * self.weight[:, None, None] + self.bias[:, None, None]


class SparseConv2d(nn.Module):
    """A convolution whose i-th output map sees the input maps `table[i]` alone; it has the weights of those only.

    (N, ins, H, W) to (N, len(table), H - kernel + 1, W - kernel + 1)
    """

    def __init__(self, ins: int, table: tuple[tuple[int, ...], ...], kernel: int):
        super().__init__()
        self.in_channels, self.out_channels = ins, len(table)
        self.kernel_size, self.stride, self.padding, self.dilation = (kernel, kernel), (1, 1), (0, 0), (1, 1)
        pairs = [out * ins + seen for out, row in enumerate(table) for seen in row]
        self.table = table
        self.weight = nn.Parameter(torch.empty(len(pairs), kernel, kernel))
        self.bias = nn.Parameter(torch.empty(len(table)))
        self.register_buffer("pairs", torch.tensor(pairs), persistent=False)

    def dense_weight(self) -> Tensor:
        """(out, in, kernel, kernel), with zeros where there is no connection."""
        assert isinstance(self.pairs, Tensor)
        every = self.weight.new_zeros(self.out_channels * self.in_channels, *self.kernel_size)
        return every.index_copy(0, self.pairs, self.weight).unflatten(0, (self.out_channels, self.in_channels))

    def forward(self, x: Tensor) -> Tensor:
        return conv2d(x, self.dense_weight(), self.bias)


class CodeClassifier(nn.Module):
    """F6 and the outputs: 84 units, and for each class the negative squared distance from them to its code.

    (N, ins) to logits (N, num_classes). The codes are fixed: the digits' bitmaps for ten classes, else random
    signs. So F6 is the part that a new task trains. The paper's Euclidean radial basis outputs are the negated
    logits; its maximum a posteriori loss is cross-entropy on these logits, but for one more, constant class.
    """

    def __init__(self, ins: int, num_classes: int):
        super().__init__()
        self.fc = nn.Linear(ins, CODE_SIZE)
        self.act = ScaledTanh()
        self.register_buffer("codes", codes(num_classes))

    def forward(self, x: Tensor) -> Tensor:
        return -(self.act(self.fc(x))[:, None] - self.codes).square().sum(2)


def codes(num_classes: int) -> Tensor:
    """(num_classes, 84) of 1 and -1; those of any number of classes are the same every time."""
    if num_classes == 10:
        rows = [line.split() for line in BITMAPS.split("\n") if line]
        digits = ["".join(row[digit] for row in rows) for digit in range(10)]
        return torch.tensor([[1.0 if pixel == "#" else -1.0 for pixel in digit] for digit in digits])
    draw = random.Random(num_classes)
    return torch.tensor([[draw.choice((-1.0, 1.0)) for _ in range(CODE_SIZE)] for _ in range(num_classes)])


class LeNet51998(Net):
    """C1, S2 | C3, S4 | C5 | F6 and the codes, each unit up to F6 squashed: 60,000 parameters.

    The flattened map fixes the image size, in pixels (H, W): a net built for one size raises RuntimeError on
    another; ValueError where nothing would be left to flatten.
    """

    def __init__(
        self,
        num_classes: int = 10,
        in_chans: int = 1,
        drop_rate: float = 0.0,
        img_size: int | tuple[int, int] = 32,
    ):
        sides = [((pixels - 4) // 2 - 4) // 2 for pixels in to_2tuple(img_size)]
        if min(sides) < 1:
            raise ValueError(f"lenet5_1998 needs images of at least 16x16 pixels, not {img_size}")
        super().__init__(
            [
                Stage("conv1", _stage(nn.Conv2d(in_chans, 6, 5), 6), 6, 2),
                Stage("conv2", _stage(SparseConv2d(6, CONNECTIONS, 5), 16), 16, 2),
            ],
            num_classes=num_classes,
            in_chans=in_chans,
            drop_rate=drop_rate,
            global_pool=nn.Flatten(),
            hidden=FullyConnected((16 * prod(sides), 120), ScaledTanh),
        )
        self.apply(fan_in_init)

    def make_classifier(self, num_classes: int) -> nn.Module:
        return CodeClassifier(self.head_hidden_size, num_classes).apply(fan_in_init)


def fan_in_init(module: nn.Module) -> None:
    """For `Module.apply`: weights and biases uniform in +-2.4 / F, F the inputs of the unit (appendix A)."""
    if isinstance(module, SparseConv2d):
        kernels = iter(module.weight.detach())
        for row, bias in zip(module.table, module.bias.detach(), strict=True):
            fan = len(row) * module.kernel_size[0] ** 2
            for tensor in (bias, *islice(kernels, len(row))):
                tensor.uniform_(-2.4 / fan, 2.4 / fan)
    elif isinstance(module, nn.Conv2d | nn.Linear | Subsample):
        fan = 4 if isinstance(module, Subsample) else module.weight[0].numel()
        for tensor in (module.weight, module.bias):
            assert tensor is not None
            nn.init.uniform_(tensor, -2.4 / fan, 2.4 / fan)


def _stage(conv: nn.Module, channels: int) -> nn.Sequential:
    pool = Subsample(channels)
    return nn.Sequential(OrderedDict(conv=conv, act1=ScaledTanh(), pool=pool, act2=ScaledTanh()))


@register_model
def lenet5_1998(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(LeNet51998, "lenet5_1998", pretrained, **kwargs)
