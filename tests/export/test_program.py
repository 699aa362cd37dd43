"""A program computes what its network computes, with BatchNorm in the convolutions before it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cnntrain.data.batches.preprocess import Preprocess
from cnntrain.export import inputs, program


class Net(nn.Module):
    """Two convolutions with their norm, with a bias and without, a third whose output goes elsewhere too, and a norm
    before a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, groups=2), nn.BatchNorm2d(4))
        self.shared, self.norm = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)
        self.before = nn.BatchNorm2d(4)
        self.last = nn.Conv2d(4, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.shared(self.second(self.first(x)))
        return self.last(self.before((self.norm(x) + x).relu())).mean((2, 3))


@pytest.fixture(scope="module")
def whole() -> program.Whole:
    torch.manual_seed(0)
    net = Net()
    for each in net.modules():
        if isinstance(each, nn.BatchNorm2d):
            nn.init.uniform_(each.running_mean, -1, 1)
            nn.init.uniform_(each.running_var, 0.5, 2)
            nn.init.uniform_(each.weight, 0.5, 2)
            nn.init.uniform_(each.bias, -1, 1)
    seen: dict[str, Any] = {"crop": "center", "crop_fraction": 1.0, "interpolation": "bilinear"}
    preprocess = Preprocess(1, 8, **seen, mean=[0.5], std=[0.5], background="white")
    return program.Whole(inputs.of(preprocess), net, 2.0, lambda logits: logits.softmax(-1)).eval()


def test_batch_norm_goes_into_the_convolution_before_it_alone(whole: program.Whole) -> None:
    exported = program.program(whole)
    assert program.fold(exported) == 2  # neither the norm whose input is used elsewhere, nor that before a convolution
    targets = [each.target for each in exported.graph.nodes]
    assert targets.count(program.BATCH_NORM) == 2
    module = exported.module()
    for shape in ((1, 8, 8, 1), (5, 20, 9, 1), (2, 7, 30, 1)):
        images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
        with torch.inference_mode():
            logits, probabilities = module(images)
            expected = whole.network(whole.seen(images))
        torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(probabilities, (expected / 2).softmax(1), rtol=1e-5, atol=1e-5)
        assert (expected.max(0).values - expected.min(0).values).max() > 1e-3 or shape[0] == 1  # images matter


@pytest.mark.parametrize(
    ("kind", "norm", "shape", "more"),
    [
        (nn.Conv1d, nn.BatchNorm1d, (5, 9), {"bias": False}),
        (nn.Conv1d, nn.BatchNorm1d, (6, 9), {"groups": 2, "padding": "same"}),
        (nn.Conv3d, nn.BatchNorm3d, (5, 4, 6, 7), {"bias": False, "stride": 2}),
        (nn.ConvTranspose2d, nn.BatchNorm2d, (5, 4, 6), {"bias": False, "stride": 2}),
        (nn.ConvTranspose3d, nn.BatchNorm3d, (5, 3, 4, 6), {}),
    ],
)
def test_it_goes_into_convolutions_of_other_sides_and_transposed_ones(
    kind: Any, norm: Any, shape: tuple[int, ...], more: dict[str, Any]
) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(kind(shape[0], 4, 3, **more), norm(4), nn.ReLU()).eval()
    _, second, _ = net
    nn.init.uniform_(second.running_mean, -1, 1)
    nn.init.uniform_(second.running_var, 0.5, 2)
    nn.init.uniform_(second.weight, 0.5, 2)
    exported = program.program_alone(net, shape)
    assert program.fold(exported) == 1
    given = torch.randn(3, *shape)
    with torch.inference_mode():
        torch.testing.assert_close(exported.module()(given), net(given), rtol=1e-5, atol=1e-5)


def test_it_stays_behind_a_transposed_convolution_of_groups() -> None:
    net = nn.Sequential(nn.ConvTranspose2d(4, 4, 3, groups=2), nn.BatchNorm2d(4)).eval()
    assert program.fold(program.program_alone(net, (4, 5, 6))) == 0
