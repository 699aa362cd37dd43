"""Dense layers written out, and what BC changes."""

import pytest
import timm
import torch
from torch import nn

from cnntrain.models import registry
from cnntrain.models.cifar_densenet import CifarDenseNet, DenseLayer

registry.register()


@pytest.mark.parametrize("bottleneck", [False, True])
def test_a_layer_adds_its_maps_behind_those_it_was_given(bottleneck):
    torch.manual_seed(0)
    layer, x = DenseLayer(6, 4, bottleneck, 0.0).eval(), torch.randn(2, 6, 5, 5)
    new = x
    for norm, _, conv, _ in layer.body:
        new = conv(torch.relu(norm(new)))
    assert torch.equal(layer(x), torch.cat([x, new], 1))
    assert [step[2].kernel_size[0] for step in layer.body] == ([1, 3] if bottleneck else [3])
    assert not bottleneck or layer.body[0][2].out_channels == 16


def test_channels():
    with torch.device("meta"):
        plain, bc = timm.create_model("densenet40"), timm.create_model("densenetbc100")
    assert [info["num_chs"] for info in plain.feature_info] == [16, 160, 160, 304, 304, 448, 448]
    assert [info["num_chs"] for info in bc.feature_info] == [24, 216, 108, 300, 150, 342, 342]


@pytest.mark.parametrize(("name", "depth"), [("densenet40", 40), ("densenetbc100", 100)])
def test_the_depth_counts_layers_with_weights(name, depth):
    with torch.device("meta"):
        net = timm.create_model(name, proj_drop_rate=0.2)
    convs = sum(isinstance(module, nn.Conv2d) for module in net.modules())
    assert convs + 1 == depth
    dropouts = [module.p for module in net.modules() if isinstance(module, nn.Dropout)]
    assert dropouts == [0.2] * (convs - 1) + [0.0]  # after every convolution but the first; the classifier's own


def test_initialisation_is_he():
    torch.manual_seed(0)
    conv = timm.create_model("densenet40").transition2[2]
    assert conv.weight.std().item() == pytest.approx((2 / 304) ** 0.5, rel=0.02)


def test_wrong_depths_are_refused():
    with pytest.raises(ValueError, match="3n \\+ 4, not 41"):
        CifarDenseNet(41)
    with pytest.raises(ValueError, match="6n \\+ 4, not 43"):
        CifarDenseNet(43, bc=True)
