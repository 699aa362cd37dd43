"""The highway layer by hand, and how it starts."""

import math

import pytest
import timm
import torch
from torch import nn

from cnntrain.models import registry
from cnntrain.models.highway import Highway

registry.register()


def test_layer_by_hand():
    layer = Highway(1)
    for conv, weight, bias in ((layer.transform, 2.0, 1.0), (layer.gate, 0.5, -1.0)):
        nn.init.zeros_(conv.weight)
        nn.init.constant_(conv.weight[:, :, 1, 1], weight)
        nn.init.constant_(conv.bias, bias)
    x = torch.tensor([[[[3.0, -4.0]]]])
    gate = [1 / (1 + math.exp(-(0.5 * value - 1))) for value in (3, -4)]
    expected = [7 * gate[0] + 3 * (1 - gate[0]), 0 * gate[1] - 4 * (1 - gate[1])]
    torch.testing.assert_close(layer(x).flatten(), torch.tensor(expected))


def test_initialisation():
    torch.manual_seed(0)
    net = timm.create_model("highway19")
    layers = [module for module in net.modules() if isinstance(module, Highway)]
    assert len(layers) == 4 + 5 + 5
    assert all((layer.gate.bias == -2).all() for layer in layers)
    assert all((layer.transform.bias == 0).all() for layer in layers)
    bound = (6 / (9 * 128 + 9 * 128)) ** 0.5  # Glorot and Bengio's uniform distribution
    for weight in (net.block3[1].gate.weight, net.block3[1].transform.weight):
        assert weight.abs().max().item() == pytest.approx(bound, rel=1e-3)
        assert weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.01)


def test_dropout_stands_before_the_blocks_and_the_classifier():
    net = timm.create_model("highway19")
    dropouts = {name: module.p for name, module in net.named_modules() if isinstance(module, nn.Dropout)}
    assert list(dropouts) == ["block1.0.0", "block2.0.1", "block3.0.1", "head_drop"]
    assert set(dropouts.values()) == {0.2}
