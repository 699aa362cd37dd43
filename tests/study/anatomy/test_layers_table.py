"""The one pass over a network: its rows, their sums, depth, strides that do not fit, what backward needs."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import Tensor, nn

from cnntrain.core.errors import ConfigError
from cnntrain.models import registry
from cnntrain.study.anatomy import layers
from cnntrain.study.anatomy.recorder import observe

registry.register()


def meta(name: str, **kwargs: object) -> nn.Module:
    with torch.device("meta"):
        return timm.create_model(name, **kwargs)


@pytest.mark.parametrize(
    ("name", "params", "macs", "depth"),  # measured by other means: ARCHITECTURES.md, section 1
    [
        ("lenet5", 61_706, 0.417e6, 5),
        ("alexnet", 60_965_224, 0.724e9, 8),
        ("vgg16", 138_357_544, 15.470e9, 16),
        ("resnet18", 11_689_512, 1.814e9, 18),
        ("resnet50", 25_557_032, 4.089e9, 50),
        ("googlenet", 6_998_552, 1.583e9, 22),
        ("densenet121", 7_978_856, 2.834e9, 121),
        ("mobilenetv2_100", 3_504_872, 0.301e9, 53),
        ("seresnet50", 28_088_024, 4.092e9, 82),
        ("inception_v3", 23_834_568, 5.713e9, 48),
        ("shufflenet_g3", 1_865_728, 0.1375e9, 50),
        ("resnet110", 1_727_962, 0.2529e9, 110),
        ("convnext_femto", 5_217_784, 0.780e9, None),  # its scales are views of parameters when they are used
    ],
)
def test_rows_sum_to_the_network(name: str, params: int, macs: float, depth: int | None) -> None:
    net = meta(name)
    channels, size = net.pretrained_cfg["input_size"][:2]
    rows = layers.measure(net, (channels, size, size))[0]
    assert sum(row.params for row in rows) == sum(p.numel() for p in net.parameters()) == params
    total = sum(row.macs for row in rows)
    assert total == layers.multiply_adds(net, (channels, size, size)) == pytest.approx(macs, rel=0.003)
    assert depth is None or layers.depth(rows) == depth
    assert len({row.name for row in rows}) == len(rows)
    modules = dict(net.named_modules())
    by_path: dict[str, int] = {}
    for row in rows:
        by_path[row.name.partition("#")[0]] = by_path.get(row.name.partition("#")[0], 0) + row.params
    for path, count in by_path.items():
        if path in modules:
            assert count == sum(p.numel() for p in modules[path].parameters(recurse=False))
        else:
            assert count == 0


def test_a_residual_block_row_by_row() -> None:
    rows = layers.measure(meta("resnet18"), (3, 224, 224))[0]
    by_name = {row.name: row for row in rows}
    add, conv = by_name["layer2.0.add"], by_name["layer2.0.downsample.0"]
    assert [rows[each].name for each in add.inputs] == ["layer2.0.bn2", "layer2.0.downsample.1"]
    assert [rows[each].name for each in conv.inputs] == ["layer1.1.act2"]
    assert rows[0].inputs == (-1,)
    assert (conv.kind, conv.shape, conv.params, conv.macs) == ("Conv2d", (128, 28, 28), 64 * 128, 64 * 128 * 28 * 28)
    assert conv.window is not None and (conv.window.kernel, conv.window.stride) == ((1, 1), (2, 2))
    assert (add.kind, add.values, by_name["layer1.0.act1"].values) == ("add", 0, 0)  # both work in place
    assert by_name["layer1.0.bn1"].values == 64 * 56 * 56


def test_parts_that_torch_has_no_module_for() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1, 2, 1, 1))
            self.conv, self.relu = nn.Conv2d(1, 2, 3), nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            x = self.relu(torch.cat([self.conv(x) * self.scale, self.conv(x)], 1))
            left, right = x.split(2, 1)
            return self.relu(torch.nn.functional.max_pool2d(left, 2) + 1 + right[:, :, ::2, ::2]).mean((2, 3))

    rows = observe(nn.Sequential(Net()).eval(), torch.zeros(1, 1, 6, 6)).layers
    names = ["0.conv", "0", "0.conv#2", "0.cat", "0.relu", "0.max_pool2d", "0.add", "0.add#2", "0.relu#2", "0.mean"]
    assert [row.name for row in rows] == names
    assert [row.params for row in rows] == [20, 2, *[0] * 8]
    assert [row.kind for row in rows[:4]] == ["Conv2d", "Net", "Conv2d", "cat"]
    assert rows[7].inputs == (4, 6)
    assert [row.weighted for row in rows] == [True, False, True, *[False] * 7]


def test_dropout_is_a_layer_and_identity_is_none() -> None:
    net = nn.Sequential(nn.Conv2d(1, 1, 1), nn.Identity(), nn.Dropout(0.0), nn.Dropout(0.5), nn.Flatten())
    rows = observe(net.eval(), torch.zeros(1, 1, 2, 2)).layers
    assert [row.kind for row in rows] == ["Conv2d", "Dropout", "Flatten"]
    assert [row.values for row in rows] == [4, 0, 0]
    assert [row.inputs for row in rows] == [(-1,), (0,), (1,)]


@pytest.mark.parametrize("grad", [True, False])
def test_the_model_is_left_as_it_was(grad: bool) -> None:
    model = timm.create_model("resnet18").requires_grad_(grad)
    model.layer1.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    layers.measure(model, (3, 32, 32))[0]
    assert [model.training, model.layer1.training, model.layer2.training] == [True, False, True]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_hooks_go_when_the_model_fails() -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 3), nn.Linear(5, 1))
    with pytest.raises(RuntimeError):
        observe(model, torch.zeros(1, 1, 8, 8))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


@pytest.mark.no_cover
def test_a_size_that_the_model_does_not_take() -> None:
    with pytest.raises(ConfigError, match=r"does not take 32x32 images .*data\.image_size=75 works"):
        layers.measure(meta("inception_v3"), (3, 32, 32))[0]


@pytest.mark.parametrize(
    ("net", "size", "words"),
    [
        (nn.Conv2d(1, 1, 3, 3), 7, ["(7 - 3 + 2*0) / 3 + 1 = 2.333", "down to 2", "unseen: 1, of the map"]),
        (nn.Conv2d(1, 1, 7, 2, 3), 224, ["(224 - 7 + 2*3) / 2 + 1 = 112.5", "down to 112", "padding only"]),
        (nn.MaxPool2d(2, 2), 5, ["(5 - 2 + 2*0) / 2 + 1 = 2.5"]),
        (nn.Conv2d(1, 1, 3, 2, dilation=2), 8, ["(8 - 5 + 2*0) / 2 + 1 = 2.5"]),
        (nn.Conv2d(1, 1, 3, 2), 7, None),
        (nn.Conv2d(1, 1, 11, 4), 227, None),
        (nn.MaxPool2d(2, 2, ceil_mode=True), 5, None),
        (nn.ReLU(), 5, None),
    ],
)
def test_strides_that_do_not_fit(net: nn.Module, size: int, words: list[str] | None) -> None:
    (row,) = observe(nn.Sequential(net), torch.zeros(1, 1, size, size)).layers
    sentence = layers.uneven(row)
    assert (sentence is None) == (words is None)
    assert all(word in str(sentence) for word in words or [])


def test_what_backward_needs_by_hand() -> None:
    net = nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
    images, maps, statistics = 5 * 64, 5 * 4 * 36, 2 * 4  # 8x8 pixels; 4 maps of 6x6; BatchNorm's mean and deviation
    needed = layers.kept_for_backward(net, net.train, 5, (1, 8, 8))
    assert needed == 4 * (
        images + maps + statistics + maps
    )  # convolution's input, BatchNorm's, ReLU's output = linear's
    net.requires_grad_(False)
    net[4].requires_grad_(True)
    assert layers.kept_for_backward(net, net.eval, 5, (1, 8, 8)) == 4 * (images + maps)
    net.requires_grad_(False)
    assert layers.kept_for_backward(net, net.eval, 5, (1, 8, 8)) == 4 * images


def test_meta_and_cpu_agree() -> None:
    meta_net, net = meta("resnet20"), timm.create_model("resnet20")
    assert layers.measure(meta_net, (3, 32, 32))[0] == layers.measure(net, (3, 32, 32))[0]
    kept = [layers.kept_for_backward(each, each.train, 2, (3, 32, 32)) for each in (meta_net, net)]
    assert kept[0] == kept[1]
