"""Response normalisation, crops, branches, initialisations and the flattened map, against hand-computed values."""

import pytest
import torch
from torch import nn

from cnntrain.models.base import Stage
from cnntrain.models.cifar_resnet import ZeroPad
from cnntrain.models.parts import (
    branches,
    conv_relu,
    cropped,
    flat_pixels,
    gaussian_init,
    glorot_init,
    response_norm,
)


def test_response_norm_is_the_papers_formula():
    maps = [10.0, -20.0, 30.0, 40.0, -50.0, 60.0, 70.0]
    actual = response_norm()(torch.tensor(maps).view(1, 7, 1, 1)).flatten().tolist()
    for index, value in enumerate(maps):
        neighbours = maps[max(index - 2, 0) : index + 3]
        assert actual[index] == pytest.approx(value / (2 + 1e-4 * sum(n * n for n in neighbours)) ** 0.75)


@pytest.mark.parametrize(
    ("smaller", "slices"),
    [
        (lambda maps: cropped(maps, maps[:, :, :4, :5]), lambda maps: maps[:, :, :4, :5]),
        (lambda maps: cropped(maps, maps[:, :, 2:, 2:], 1), lambda maps: maps[:, :, 1:-1, 1:-1]),
        (lambda maps: cropped(maps, maps), lambda maps: maps),
        (ZeroPad(0, 2), lambda maps: maps[:, :, ::2, ::2]),
    ],
    ids=["from the first", "from within", "whole", "every second"],
)
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_smaller_maps_and_their_gradient_keep_the_memory_format(smaller, slices, memory_format):
    maps = torch.randn(2, 3, 6, 7).contiguous(memory_format=memory_format).requires_grad_()
    found, twin = smaller(maps), maps.detach().clone().requires_grad_()
    weights = torch.randn_like(found).contiguous(memory_format=memory_format)
    gradients = []
    for output, source in ((found, maps), (slices(twin), twin)):
        source.register_hook(gradients.append)  # what is asked of autograd.grad is laid out anew
        (output * weights).sum().backward()
    assert torch.equal(found, slices(maps))
    assert torch.equal(*gradients)
    assert gradients[0].is_contiguous(memory_format=memory_format)


def test_branches_concatenate_in_order():
    x = torch.randn(2, 3, 4, 4)
    both = branches(same=nn.Identity(), twice=nn.Conv2d(3, 5, 1))
    assert torch.equal(both(x), torch.cat([x, both.twice(x)], 1))
    assert list(dict(both.named_parameters())) == ["twice.weight", "twice.bias"]


def test_an_odd_kernel_keeps_the_size():
    x = torch.randn(1, 2, 9, 9)
    assert [conv_relu(2, 3, kernel)(x).shape[-1] for kernel in (1, 3, 5, 7)] == [9, 9, 9, 9]
    assert conv_relu(2, 3, 5, 2, 0)(x).shape[-1] == 3
    assert conv_relu(2, 3, 1)(x).min() == 0


def test_gaussian_initialisation():
    torch.manual_seed(0)
    layer = nn.Linear(300, 200).apply(gaussian_init)
    assert layer.weight.std().item() == pytest.approx(0.01, rel=0.02)
    assert layer.weight.mean().item() == pytest.approx(0, abs=2e-4)
    assert not layer.bias.any()


def test_glorot_initialisation():
    torch.manual_seed(0)
    conv = nn.Conv2d(40, 60, 3).apply(glorot_init)
    bound = (6 / (9 * 40 + 9 * 60)) ** 0.5
    assert 0.99 * bound < conv.weight.abs().max().item() <= bound
    assert conv.weight.std().item() == pytest.approx((2 / (9 * 40 + 9 * 60)) ** 0.5, rel=0.02)
    assert not conv.bias.any()


def test_flat_pixels():
    stages = [Stage("a", nn.Sequential(nn.Conv2d(3, 4, 5, 2, 1), nn.MaxPool2d(3, 2)), 4, 4)]
    for size in (20, (20, 31), (9, 9)):
        rows, cols = stages[0].module(torch.empty(1, 3, *torch.Size((size, size) if size == 20 else size))).shape[2:]
        assert flat_pixels("net", stages, size) == rows * cols
    with pytest.raises(ValueError, match="net needs images of at least 7x7 pixels, not 6"):
        flat_pixels("net", stages, 6)
    assert flat_pixels("net", stages, 7) == 1
