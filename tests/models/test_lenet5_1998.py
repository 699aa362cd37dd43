"""The published LeNet-5, part by part, against its description."""

import pytest
import timm
import torch
from torch import nn

from cnntrain.models import registry
from cnntrain.models.lenet5_1998 import (
    CONNECTIONS,
    CodeClassifier,
    LeNet51998,
    ScaledTanh,
    SparseConv2d,
    Subsample,
    codes,
    fan_in_init,
)
from cnntrain.transfer.groups import coarse_groups

registry.register()


def test_layers_have_the_papers_sizes():
    net = timm.create_model("lenet5_1998")
    parts = [net.conv1.conv, net.conv1.pool, net.conv2.conv, net.conv2.pool, net.hidden, net.classifier]
    counts = [sum(parameter.numel() for parameter in part.parameters()) for part in parts]
    assert counts == [156, 12, 1_516, 32, 48_120, 10_164]
    _, maps = net.forward_intermediates(torch.randn(1, 1, 32, 32))
    assert [tuple(m.shape[1:]) for m in maps] == [(6, 14, 14), (16, 5, 5)]


def test_connections_are_table_1():
    assert [len(row) for row in CONNECTIONS] == [3] * 6 + [4] * 9 + [6]
    assert all(sum(seen in row for row in CONNECTIONS) == 10 for seen in range(6))
    assert len(set(CONNECTIONS)) == 16
    assert CONNECTIONS[0] == (0, 1, 2)
    assert CONNECTIONS[4] == (0, 4, 5)
    assert CONNECTIONS[11] == (0, 1, 2, 5)


def test_sparse_convolution_by_hand():
    conv = SparseConv2d(3, ((0, 2), (1,)), 2)
    nn.init.normal_(conv.weight)
    nn.init.normal_(conv.bias)
    x = torch.randn(1, 3, 3, 4)
    y = conv(x)
    assert y.shape == (1, 2, 2, 3)
    for row in range(2):
        for col in range(3):
            window = x[0, :, row : row + 2, col : col + 2]
            first = (window[0] * conv.weight[0]).sum() + (window[2] * conv.weight[1]).sum() + conv.bias[0]
            second = (window[1] * conv.weight[2]).sum() + conv.bias[1]
            assert torch.allclose(y[0, :, row, col], torch.stack([first, second]), atol=1e-6)


def test_trainable_pool_by_hand():
    pool = Subsample(2)
    pool.load_state_dict({"weight": torch.tensor([2.0, -1.0]), "bias": torch.tensor([0.5, 0.0])})
    x = torch.arange(16.0).view(1, 2, 2, 4)
    # sums of the 2x2 blocks: 0 + 1 + 4 + 5, 2 + 3 + 6 + 7; the second map adds 8 to each pixel
    assert torch.allclose(pool(x), torch.tensor([[[[20.5, 36.5]], [[-42.0, -50.0]]]]))


def test_scaled_tanh():
    act = ScaledTanh()
    assert torch.allclose(act(torch.tensor([1.0, -1.0, 0.0])), torch.tensor([1.0, -1.0, 0.0]), atol=1e-4)
    assert act(torch.tensor(100.0)).item() == pytest.approx(1.7159)


def test_logits_are_negative_squared_distances_to_fixed_codes():
    head = CodeClassifier(5, 10)
    x = torch.randn(3, 5)
    units = head.act(head.fc(x))
    expected = torch.stack([-((units - code) ** 2).sum(1) for code in codes(10)], 1)
    assert torch.allclose(head(x), expected, rtol=1e-5)
    head(x).sum().backward()
    assert head.fc.weight.grad is not None
    assert not head.codes.requires_grad
    assert set(head.state_dict()) == {"fc.weight", "fc.bias", "codes"}


@pytest.mark.parametrize("classes", [2, 10, 100])
def test_codes(classes):
    table = codes(classes)
    assert table.shape == (classes, 84)
    assert table.abs().eq(1).all()
    assert len({tuple(row.tolist()) for row in table}) == classes
    assert torch.equal(table, codes(classes))


def test_initialisation_is_uniform_in_the_fan_in():
    torch.manual_seed(0)
    net = timm.create_model("lenet5_1998")
    for module, fan in (
        (net.conv1.conv, 25),
        (net.conv1.pool, 4),
        (net.conv2.pool, 4),
        (net.hidden[0].fc, 400),
        (net.classifier.fc, 120),
    ):
        assert 0.6 * 2.4 / fan < module.weight.abs().max().item() <= 2.4 / fan
        assert 0 < module.bias.abs().max().item() <= 2.4 / fan
    sparse = net.conv2.conv.weight.abs().amax((1, 2))
    assert (sparse[:18] <= 2.4 / 75).all()
    assert sparse[:18].max() > 2.4 / 100
    assert (sparse[18:54] <= 2.4 / 100).all()
    assert (sparse[54:] <= 2.4 / 150).all()
    assert net.classifier.fc.weight.std().item() == pytest.approx(2.4 / 120 / 3**0.5, rel=0.02)
    other = SparseConv2d(3, ((0, 2), (1,)), 5).apply(fan_in_init)
    assert 2.4 / 50 < other.weight[2].abs().max() <= 2.4 / 25
    assert other.bias.abs().max() <= 2.4 / 25


def test_a_probe_trains_f6_against_the_codes():
    groups = coarse_groups(timm.create_model("lenet5_1998"))
    assert groups[-1].name == "head"
    assert groups[-1].parameters == ("classifier.fc.weight", "classifier.fc.bias")


def test_image_sizes():
    assert LeNet51998(img_size=(28, 36))(torch.randn(2, 1, 28, 36)).shape == (2, 10)
    with pytest.raises(ValueError, match="at least 16x16 pixels, not 15"):
        timm.create_model("lenet5_1998", img_size=15)
