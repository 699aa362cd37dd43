"""The arithmetic is torch's: what it gives, and which pixels have no gradient."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cnntrain.study.anatomy.convolution import Convolution


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding", "dilation"),
    [(227, 11, 4, 0, 1), (224, 11, 4, 0, 1), (32, 3, 2, 1, 1), (12, 5, 1, 0, 1), (17, 2, 5, 1, 1), (20, 3, 2, 2, 3),
     (9, 1, 2, 3, 1), (5, 5, 7, 0, 1)],
)  # fmt: skip
def test_sizes_and_unseen_pixels_are_torchs(size: int, kernel: int, stride: int, padding: int, dilation: int) -> None:
    found = Convolution(size, kernel, stride, padding, dilation)
    net = nn.Conv2d(1, 1, kernel, stride, padding, dilation, bias=False)
    nn.init.ones_(net.weight)
    image = torch.ones(1, 1, size, size, requires_grad=True)
    output = net(image)
    assert output.shape[2] == found.output
    (gradient,) = torch.autograd.grad(output.sum(), image)
    assert int((gradient == 0).sum()) == found.unseen
    one_less = nn.functional.pad(torch.ones(1, 1, size, size), [padding] * 4)
    kept = one_less.shape[2] - found.left_over
    assert (
        nn.functional.conv2d(one_less[..., :kept, :kept], net.weight, None, stride, 0, dilation).shape == output.shape
    )
    assert (found.exact.denominator == 1) == (found.left_over == 0)


def test_parameters_and_multiply_adds_are_those_of_layers() -> None:
    found = Convolution(12, 5, 1, 0)
    full = nn.Conv2d(3, 256, 5)
    depthwise, pointwise = nn.Conv2d(3, 3, 5, groups=3), nn.Conv2d(3, 256, 1)
    count = [sum(p.numel() for p in net.parameters()) for net in (full, depthwise, pointwise)]
    assert found.params(3, 256) == count[0] and found.separable_params(3, 256) == count[1] + count[2]
    assert found.macs(3, 256) == 1_228_800 and found.separable_macs(3, 256) == 53_952  # the lecture's


def test_alexnets_first_layer() -> None:
    found = Convolution(227, 11, 4, 0)
    assert (found.output, found.left_over, found.params(3, 96), found.macs(3, 96)) == (55, 0, 34_944, 105_415_200)
    paper = Convolution(224, 11, 4, 0)
    assert (paper.output, float(paper.exact), paper.left_over, paper.unseen) == (54, 54.25, 1, 224**2 - 223**2)
    assert paper.fitting(5) == [] and Convolution(224, 7, 2, 3).fitting(3) == []


def test_a_kernel_that_is_too_large() -> None:
    assert Convolution(3, 5, 1, 0).output == 0 and Convolution(3, 5, 1, 1).output == 1
    assert Convolution(3, 5, 1, 0).unseen == 9
