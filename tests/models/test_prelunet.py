"""Learned slopes, the spatial pyramid, and the initialisation that was made for them."""

import pytest
import timm
import torch
from torch import nn

from cnntrain.models import registry
from cnntrain.models.prelunet import SpatialPyramid

registry.register()


def test_slopes_are_for_each_channel_and_start_at_a_quarter():
    net = timm.create_model("prelunet_a", hidden_size=64)
    acts = [module for module in net.modules() if isinstance(module, nn.PReLU)]
    assert [act.num_parameters for act in acts] == [96, *[256] * 5, *[512] * 10, 64, 64]
    assert all((act.weight == 0.25).all() for act in acts)
    assert acts[0](torch.full((1, 96, 1, 1), -4.0)).flatten().tolist() == [-1.0] * 96


def test_slopes_do_not_decay():
    net = timm.create_model("prelunet_a", hidden_size=64)
    exempt = net.no_weight_decay()
    assert len(exempt) == 1 + 15 + 2
    parameters = dict(net.named_parameters())
    assert all((parameters[name] == 0.25).all() for name in exempt)
    assert sum(parameters[name].numel() for name in exempt) == 96 + 5 * 256 + 10 * 512 + 2 * 64


def test_pyramid_by_hand():
    pyramid = SpatialPyramid((2, 1))
    x = torch.arange(32.0).view(1, 2, 4, 4)
    # the maxima of quarters, channel by channel, and then those of the whole
    assert pyramid(x).tolist() == [[5, 7, 13, 15, 21, 23, 29, 31, 15, 31]]
    assert pyramid.bins == 5


@pytest.mark.parametrize("side", [224, 180, 64, 15])
def test_every_size_of_image_fills_the_pyramid(side):
    with torch.device("meta"):
        net = timm.create_model("prelunet_b").eval()
        assert net(torch.empty(1, 3, side, side)).shape == (1, 1000)
        assert net.hidden[0].fc.in_features == 512 * (49 + 9 + 4 + 1)


def test_initialisation_is_he_with_the_slope():
    torch.manual_seed(0)
    net = timm.create_model("prelunet_a", hidden_size=256)
    scale = 2 / (1 + 0.25**2)
    assert net.stage2[1][0].weight.std().item() == pytest.approx((scale / (9 * 512)) ** 0.5, rel=0.01)
    assert net.hidden[1].fc.weight.std().item() == pytest.approx((scale / 256) ** 0.5, rel=0.01)
    assert (net.stem[0].bias == 0).all()


def test_dropout_stands_after_both_hidden_layers():
    with torch.device("meta"):
        net = timm.create_model("prelunet_a")
    assert {n: m.p for n, m in net.named_modules() if isinstance(m, nn.Dropout)} == {
        "hidden.1.drop": 0.5,
        "head_drop": 0.5,
    }
