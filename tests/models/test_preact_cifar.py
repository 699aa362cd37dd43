"""Pre-activation units written out, and the depths and widths of their nets."""

import pytest
import timm
import torch
from torch import nn

from cnntrain.models import registry
from cnntrain.models.preact_cifar import PreActUnit, preact_resnet, wide_resnet

registry.register()


def relu_norm(bn: nn.BatchNorm2d, x: torch.Tensor) -> torch.Tensor:
    scale = bn.weight / (bn.running_var + bn.eps).sqrt()
    return torch.relu((x - bn.running_mean[:, None, None]) * scale[:, None, None] + bn.bias[:, None, None])


def unit(*args, **kwargs) -> PreActUnit:
    torch.manual_seed(0)
    module = PreActUnit(*args, **kwargs).eval()
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for tensor in (norm.weight, norm.bias, norm.running_mean):
                nn.init.normal_(tensor)
            nn.init.uniform_(norm.running_var, 0.5, 2)
    return module


def parts(module: PreActUnit, kind: type) -> list:
    return [part for part in module.body.modules() if isinstance(part, kind)]


def test_the_norm_is_shared_where_the_channels_change():
    module, x = unit((4, 6, 6), (3, 3), stride=2), torch.randn(2, 4, 8, 8)
    (norm,), (first, second) = parts(module, nn.BatchNorm2d), parts(module, nn.Conv2d)
    shared = relu_norm(module.norm.bn, x)
    expected = module.shortcut(shared) + second(relu_norm(norm, first(shared)))
    torch.testing.assert_close(module(x), expected)
    assert first.stride == module.shortcut.stride == (2, 2)
    assert second.stride == (1, 1)


def test_the_identity_is_not_normalised():
    module, x = unit((8, 2, 2, 8), (1, 3, 1)), torch.randn(2, 8, 5, 5)
    (norm2, norm3), (conv1, conv2, conv3) = parts(module, nn.BatchNorm2d), parts(module, nn.Conv2d)
    out = conv2(relu_norm(norm2, conv1(relu_norm(module.norm.bn, x))))
    torch.testing.assert_close(module(x), x + conv3(relu_norm(norm3, out)))


def test_dropout_stands_between_the_convolutions():
    net = timm.create_model("wrn16_4", proj_drop_rate=0.3)
    for stage in (net.stage1, net.stage2, net.stage3):
        for block in stage:
            assert [type(part) for part in block.body] == [nn.Conv2d, nn.Sequential, nn.Dropout, nn.Conv2d]
            assert block.body[2].p == 0.3
    assert net.head_drop.p == 0


@pytest.mark.parametrize(("name", "layers"), [("preactresnet164", 164 + 3), ("wrn28_10", 28 + 1), ("wrn40_4", 40 + 1)])
def test_the_depth_counts_layers_with_weights(name, layers):
    """Of the three projections, the wide nets' 6n + 4 counts all but not the classifier, 9n + 2 the reverse."""
    with torch.device("meta"):
        net = timm.create_model(name)
    assert sum(isinstance(module, nn.Conv2d | nn.Linear) for module in net.modules()) == layers


def test_initialisation_is_he():
    torch.manual_seed(0)
    net = timm.create_model("wrn16_4")
    conv = net.stage3[1].body[0]
    assert conv.weight.std().item() == pytest.approx((2 / (9 * 256)) ** 0.5, rel=0.01)


def test_wrong_depths_are_refused():
    with pytest.raises(ValueError, match="9n \\+ 2, not 111"):
        preact_resnet(111)
    with pytest.raises(ValueError, match="6n \\+ 4, not 20"):
        wide_resnet(20, 4)
