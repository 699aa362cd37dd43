"""Network in network, and the neocognitron's skeleton, written out."""

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import nn

from cnntrain.models import registry

registry.register()


def test_nin_cifar_equals_the_paper_written_out():
    net = timm.create_model("nin_cifar").eval()
    w = list(net.parameters())
    x = images = torch.randn(2, 3, 32, 32)
    paddings = (2, 0, 0, 2, 0, 0, 1, 0, 0)
    pools = {2: F.max_pool2d, 5: F.avg_pool2d}
    for index, padding in enumerate(paddings):
        x = F.relu(F.conv2d(x, w[2 * index], w[2 * index + 1], 1, padding))
        if index in pools:
            x = pools[index](x, 3, 2, ceil_mode=True)
    assert x.shape == (2, 10, 8, 8)
    assert torch.allclose(net(images), x.mean((2, 3)), atol=1e-5)


def test_nin_has_caffes_map_sizes():
    with torch.device("meta"):
        net = timm.create_model("nin")
    _, maps = net.forward_intermediates(torch.empty(1, 3, 224, 224, device="meta"))
    assert [tuple(m.shape[1:]) for m in maps] == [(96, 27, 27), (256, 13, 13), (384, 6, 6), (1024, 6, 6)]
    net(torch.empty(1, 3, 39, 39, device="meta"))
    with pytest.raises(RuntimeError, match="too small"):
        net(torch.empty(1, 3, 38, 38, device="meta"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [("nin", {"mlpconv4.0.drop"}), ("nin_cifar", {"mlpconv2.0.drop", "mlpconv3.0.drop"})],
)
def test_dropout_stands_between_the_stages(name, expected):
    with torch.device("meta"):
        net = timm.create_model(name)
    dropouts = {name: module.p for name, module in net.named_modules() if isinstance(module, nn.Dropout)}
    assert {name for name, p in dropouts.items() if p == 0.5} == expected
    assert dropouts.pop("head_drop") == 0


def test_pooling_can_change_where_it_keeps_a_logit_per_class():
    net, images = timm.create_model("nin_cifar").eval(), torch.randn(2, 3, 32, 32)
    maps = F.relu(net.classifier(net.forward_features(images)))
    net.global_pool = nn.Identity()
    assert torch.equal(net(images), maps)
    other = timm.create_model("nin_cifar", global_pool="max").eval()
    assert other(images).shape == (2, 10)
    with pytest.raises(ValueError, match="two logits"):
        other.reset_classifier(10, "catavgmax")


def test_neocognitron_written_out():
    net = timm.create_model("neocognitron").eval()
    w = list(net.parameters())
    images = torch.randn(2, 1, 16, 16)
    x = F.avg_pool2d(F.relu(F.conv2d(images, w[0], w[1], padding=2)), 7, 1)
    assert x.shape == (2, 24, 10, 10)
    x = F.avg_pool2d(F.relu(F.conv2d(x, w[2], w[3], padding=1)), 3, 1)
    assert x.shape == (2, 24, 6, 6)
    x = F.relu(F.conv2d(x, w[4], w[5]))
    assert torch.allclose(net(images), F.linear(x.mean((2, 3)), w[6], w[7]), atol=1e-5)
    assert net(torch.randn(1, 1, 15, 15)).shape == (1, 10)
