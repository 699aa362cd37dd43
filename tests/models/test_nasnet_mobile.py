"""NASNet-A's wiring, against timm's large net, whose cells it is made of."""

import pytest
import timm
import torch
from timm.models.nasnet import NASNetALarge
from torch import nn

from cnntrain.models import registry
from cnntrain.models.nasnet_mobile import NASNetA

registry.register()


def test_wiring_equals_timm():
    """With six cells a stage and the large net's skip of the reduction cells' inputs, the two are one net."""
    torch.manual_seed(0)
    net = NASNetA(6, 96, 8, skip_reduction_input=True, num_classes=5).eval()
    twin = NASNetALarge(num_classes=5, stem_size=8, num_features=96).eval()
    for norm in (module for module in net.modules() if isinstance(module, nn.BatchNorm2d)):
        nn.init.uniform_(norm.weight, 0.5, 2)
        nn.init.normal_(norm.running_mean, std=0.1)
    ours, theirs = net.state_dict(), twin.state_dict()
    # both define their cells in the order in which they run
    assert [value.shape for value in ours.values()] == [value.shape for value in theirs.values()]
    twin.load_state_dict(dict(zip(theirs, ours.values(), strict=True)))
    images = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(net(images), twin(images))


def test_the_mobile_net_does_not_skip():
    torch.manual_seed(0)
    net = NASNetA(2, 96, 8, num_classes=5).eval()
    last, before = net.stage1(net.stem(net.conv0(torch.randn(2, 3, 64, 64))))
    reduction, first, normal = (step.cell for step in net.stage2)
    reduced = reduction(last, before)
    expected = first(reduced, last)
    after, earlier = net.stage2((last, before))
    torch.testing.assert_close(earlier, expected)
    torch.testing.assert_close(after, normal(expected, reduced))
    assert after.shape == (2, 48, 4, 4)


def test_no_activation_is_in_place():
    with torch.device("meta"):
        net = timm.create_model("nasnetamobile")
    assert not any(module.inplace for module in net.modules() if isinstance(module, nn.ReLU))


@pytest.mark.parametrize("side", [32, 224])
def test_sizes(side):
    with torch.device("meta"):
        net = timm.create_model("nasnetamobile").eval()
        maps = net.forward_intermediates(torch.empty(1, 3, side, side))[1]
    expected = {224: [111, 28, 28, 14, 7, 7], 32: [15, 4, 4, 2, 1, 1]}
    assert [each.shape[-1] for each in maps] == expected[side]
