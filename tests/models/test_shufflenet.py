"""The channel shuffle and the two kinds of units, against the paper written out."""

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import nn

from cnntrain.models import registry
from cnntrain.models.shufflenet import ShuffleNet, ShuffleUnit

registry.register()


def shuffled(x: torch.Tensor, groups: int) -> torch.Tensor:
    """Channel i of group g becomes channel g of the i-th of the new runs."""
    size = x.size(1) // groups
    order = [group * size + i for i in range(size) for group in range(groups)]
    return x[:, order]


def branch(unit: ShuffleUnit, x: torch.Tensor) -> torch.Tensor:
    out = shuffled(torch.relu(unit.bn1(unit.conv1(x))), unit.shuffle.groups)
    return unit.bn3(unit.conv3(unit.bn2(unit.conv2(out))))


def test_shuffle_by_hand():
    x = torch.arange(6.0).view(1, 6, 1, 1)
    net = timm.create_model("shufflenet_g3")
    assert net.stage3[0].shuffle(x).flatten().tolist() == [0, 2, 4, 1, 3, 5] == shuffled(x, 3).flatten().tolist()


def test_units():
    torch.manual_seed(0)
    x = torch.randn(2, 12, 8, 8)
    same = ShuffleUnit(12, 12, 3, 3).eval()
    torch.testing.assert_close(same(x), torch.relu(x + branch(same, x)))
    half = ShuffleUnit(12, 36, 3, 3, stride=2).eval()
    expected = torch.relu(torch.cat([F.avg_pool2d(x, 3, 2, 1), branch(half, x)], 1))
    torch.testing.assert_close(half(x), expected)
    assert half(x).shape == (2, 36, 4, 4)


def test_groups():
    with torch.device("meta"):
        net = timm.create_model("shufflenet_g8")
    convs = {name: module.groups for name, module in net.named_modules() if isinstance(module, nn.Conv2d)}
    assert convs.pop("stem.conv") == convs.pop("stage2.0.conv1") == 1
    assert {groups for name, groups in convs.items() if not name.endswith("conv2")} == {8}
    with pytest.raises(ValueError, match="1, 2, 3, 4, 8, not 5"):
        ShuffleNet(5)


def test_initialisation_counts_the_inputs_of_a_group():
    torch.manual_seed(0)
    net = timm.create_model("shufflenet_g3")
    # 960 outputs of 240 inputs in 3 groups; a depthwise 3x3 has 9 inputs
    assert net.stage4[1].conv3.weight.std().item() == pytest.approx((2 / 80) ** 0.5, rel=0.02)
    assert net.stage4[1].conv2.weight.std().item() == pytest.approx((2 / 9) ** 0.5, rel=0.05)
