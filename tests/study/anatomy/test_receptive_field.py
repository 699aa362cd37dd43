"""Receptive fields: the published ones, by hand, and against what a gradient really reaches."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

from cnntrain.models import registry
from cnntrain.study.anatomy import layers
from cnntrain.study.anatomy.receptive_field import Axis, Window
from cnntrain.study.anatomy.recorder import Layer, observe

registry.register()


def rows_of(name: str, **kwargs: object) -> dict[str, Layer]:
    with torch.device("meta"):
        net = timm.create_model(name, **kwargs)
    channels, size = net.pretrained_cfg["input_size"][:2]
    return {row.name: row for row in layers.measure(net, (channels, size, size))[0]}


@pytest.mark.parametrize(
    ("model", "layer", "size", "jump"),
    [
        ("alexnet", "conv1.conv", 11, 4),
        ("alexnet", "conv1.pool", 19, 8),
        ("alexnet", "conv2.conv", 51, 8),
        ("alexnet", "conv5.conv", 163, 16),
        ("alexnet", "conv5.pool", 195, 32),
        ("vgg16", "features.0", 3, 1),
        ("vgg16", "features.2", 5, 1),
        ("vgg16", "features.28", 196, 16),
        ("vgg16", "features.30", 212, 32),
        ("vgg16", "pre_logits.fc1", 404, 32),
        ("resnet18", "layer4.1.act2", 435, 32),
        ("resnet50", "layer4.2.act3", 427, 32),  # the stride on the 3x3 convolutions
        ("resnet50_2015", "stage4.2.act3", 483, 32),  # on the first 1x1
        ("lenet5", "conv2.2", 16, 4),
    ],
)
def test_published_fields(model: str, layer: str, size: int, jump: int) -> None:
    field = rows_of(model)[layer].field
    assert field is not None and field.rows == field.columns
    assert (field.rows.size, field.rows.jump) == (size, jump)


def test_where_branches_meet_the_widest_counts() -> None:
    row = next(row for row in rows_of("googlenet").values() if row.kind == "cat")
    assert row.field is not None and row.field.rows.size == 27 + 4 * 8  # 27 pixels at a jump of 8, then 5x5


@pytest.mark.parametrize("pixels", [9, 17, 33])
def test_bagnets_see_what_their_name_says(pixels: int) -> None:
    rows = list(rows_of(f"bagnet{pixels}").values())
    fields = [row.field for row in rows if len(row.shape) == 3 and row.shape[1] > 1]
    assert max(field.rows.size for field in fields if field) == pixels


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_stack_of_3x3_sees_what_one_larger_kernel_sees(count: int) -> None:
    axis = Axis(0, 0, 1)
    for _ in range(count):
        axis = axis.window(3, 1, 1, 1)
    assert axis.size == 2 * count + 1
    assert (axis.low, axis.high) == (-count, count)


def test_an_axis_by_hand() -> None:
    axis = Axis(0, 0, 1).window(7, 2, 3, 1)
    assert axis == Axis(-3, 3, 2)
    assert axis.window(3, 2, 1, 2) == Axis(-5, 9, 4)  # two pixels a position, a kernel of 3 that spans 5 of them
    assert axis.shift(2) == Axis(1, 7, 2)
    assert axis.collapse(4) == Axis(-3, 9, 2, whole=True)
    assert axis.collapse(4).window(3, 2, 1, 1) == Axis(-3, 9, 4, whole=True)
    assert axis.union(Axis(-1, 8, 2)) == Axis(-3, 8, 2)
    assert axis.union(Axis(0, 0, 1)) is None


def test_left_over_positions() -> None:
    def left(size: int, kernel: int, stride: int, padding: int = 0, dilation: int = 1, ceil: bool = False) -> int:
        pairs = ((each, each) for each in (kernel, stride, padding, dilation))
        return Window(*pairs, ceil_mode=ceil).left_over((size, size))[0]

    assert left(7, 3, 1) == left(7, 3, 2) == 0
    assert left(7, 3, 3) == 1  # (7 - 3) / 3 + 1 = 2.33
    assert left(227, 11, 4) == 0
    assert left(224, 11, 4) == 1
    assert left(224, 7, 2, 3) == 1
    assert left(9, 3, 2, 0, 2) == 0
    assert left(10, 3, 2, 0, 2) == 1
    assert left(7, 3, 3, ceil=True) == 0


class Shifted(nn.Module):
    """Two branches whose fields are not concentric: a crop at one side, as NASNet's reduction has."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)[:, :, 2:, 1:] + functional.pad(x, (0, -1, 0, -2))


class Dense(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.wide, self.tall = nn.Conv2d(1, 1, (1, 7), padding=(0, 3)), nn.Conv2d(1, 1, (5, 1), padding=(2, 0))

    def forward(self, x: Tensor) -> Tensor:
        y = torch.cat([x, self.tall(self.wide(x))], 1)
        return y.reshape(1, 2, 1, *x.shape[-2:]).transpose(1, 2).flatten(1, 2).sum(1, keepdim=True)


@pytest.mark.parametrize(
    "net",
    [
        nn.Sequential(nn.Conv2d(1, 1, 5, 2, 2), nn.AvgPool2d(3, 2, 1), nn.Conv2d(1, 1, 3, padding=2, dilation=2)),
        nn.Sequential(nn.Conv2d(1, 1, (3, 5), (1, 2)), nn.Conv2d(1, 1, 4, 3), nn.BatchNorm2d(1), nn.PReLU(1)),
        nn.Sequential(nn.AdaptiveAvgPool2d(16), nn.Conv2d(1, 1, 3, padding=1)),
        nn.Sequential(nn.ZeroPad2d((2, 0, 1, 3)), nn.Conv2d(1, 1, 4, 2), Shifted()),
        nn.Sequential(Dense(), nn.AvgPool2d(2), Dense()),
        nn.Sequential(nn.LocalResponseNorm(3), nn.Conv2d(1, 1, 3), nn.Identity(), nn.Dropout(0.5)),
    ],
    ids=["strides", "oblong", "adaptive", "shifted", "branches", "norms"],
)
def test_a_gradient_reaches_exactly_the_field(net: nn.Module) -> None:
    reaches_exactly_the_field(net, (64, 64))


@pytest.mark.parametrize(
    ("net", "sides"),
    [
        (nn.Sequential(nn.Conv1d(1, 1, 5, 2, 2), nn.AvgPool1d(3, 2, 1), nn.Conv1d(1, 1, 3, dilation=2)), (80,)),
        (nn.Sequential(nn.Conv1d(1, 1, 7, padding=3), nn.BatchNorm1d(1), nn.ReLU(), nn.Conv1d(1, 1, 4, 3)), (60,)),
        (nn.Sequential(nn.Conv3d(1, 1, 3, (1, 2, 2), 1), nn.AvgPool3d(2), nn.Conv3d(1, 1, (3, 1, 5))), (16, 40, 40)),
        (nn.Sequential(nn.Conv3d(1, 1, (1, 3, 3), padding=(0, 1, 1)), nn.Conv3d(1, 1, (3, 1, 1))), (12, 12, 12)),
    ],
    ids=["signals", "signals, normalised", "volumes", "planes, then frames"],
)
def test_a_gradient_reaches_exactly_the_field_of_signals_and_volumes(net: nn.Module, sides: tuple[int, ...]) -> None:
    reaches_exactly_the_field(net, sides)


def reaches_exactly_the_field(net: nn.Module, sides: tuple[int, ...]) -> None:
    for parameter in net.parameters():
        nn.init.constant_(parameter, 0.1)
    given = torch.ones(1, 1, *sides, requires_grad=True)
    field = observe(net.eval(), given.detach()).layers[-1].field
    assert field is not None and len(field.axes) == len(sides)
    out = net(given)
    middle = tuple(side // 2 for side in out.shape[2:])
    out[(0, 0, *middle)].backward()
    assert given.grad is not None
    reached = given.grad[0, 0].nonzero()
    for position, axis, places in zip(middle, field.axes, reached.T, strict=True):
        assert (axis.low + position * axis.jump, axis.high + position * axis.jump) == (places.min(), places.max())


def test_what_follows_a_gate_sees_the_whole_image() -> None:
    rows = rows_of("seresnet18")
    before, after = rows["layer1.0.bn2"].field, rows["layer1.0.se.mul"].field
    assert before is not None and not before.rows.whole and before.rows.size == 27
    assert after is not None and after.rows.whole and after.rows.size == 27 + 55 * 4 and after.rows.jump == 4
    last = rows["layer4.1.act2"].field
    assert last is not None and last.rows.whole and last.rows.size == 27 + 55 * 4


class Upsampling(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(functional.interpolate(x, scale_factor=2))


def test_what_has_no_rule_is_unknown_from_there_on() -> None:
    rows = observe(nn.Sequential(nn.Conv2d(1, 1, 3), Upsampling()), torch.zeros(1, 1, 8, 8)).layers
    assert rows[0].field is not None
    assert [row.field for row in rows[1:]] == [None, None]
    assert rows[-1].shape == (2, 10, 10)


def test_uneven_adaptive_windows_are_unknown() -> None:
    (row,) = observe(nn.Sequential(nn.AdaptiveAvgPool2d(3)), torch.zeros(1, 1, 14, 14)).layers
    assert row.field is None
    (row,) = observe(nn.Sequential(nn.AdaptiveAvgPool2d(3)), torch.zeros(1, 1, 7, 7)).layers  # 0-3, 2-5, 4-7
    assert row.field is not None and (row.field.rows.size, row.field.rows.jump) == (3, 2)
