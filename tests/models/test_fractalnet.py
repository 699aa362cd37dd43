"""The fractal written out, and drop-path: what is dropped, how often, and that it repeats."""

import copy

import pytest
import timm
import torch
from torch import nn

from cnntrain.models import registry
from cnntrain.models.fractalnet import ColumnDraw, FractalBlock, Join

registry.register()
SMALL = {"filters": (8, 16, 16, 16, 16)}
SURE = {"block_drop_rates": (0.0,) * 5, **SMALL}  # drop-path is the only randomness


def block(columns: int = 3, drop_path_rate: float = 0.15, global_ratio: float = 0.5) -> FractalBlock:
    torch.manual_seed(0)
    return FractalBlock(2, 4, columns, 0.0, Join(drop_path_rate), ColumnDraw(columns, global_ratio))


def test_evaluation_uses_the_whole_block():
    net, x = block().eval(), torch.randn(2, 2, 8, 8)
    (deep1, deep2, deep3, deep4), (middle1, middle2), (shallow,) = net.columns
    half = (deep2(deep1(x)) + middle1(x)) / 2
    ends = deep4(deep3(half)), middle2(half), shallow(x)
    expected = sum(net.pool(end) for end in ends) / 3
    out, column = net(x)
    torch.testing.assert_close(out, expected)
    assert column is None


@pytest.mark.parametrize("column", [0, 1, 2])
def test_a_global_column_is_a_plain_net(column):
    torch.manual_seed(0)
    net, x = timm.create_model("fractalnet", **SURE), torch.randn(8, 3, 32, 32)
    expected, state = x, (x, torch.tensor(column))
    for name in net.stage_names:
        part = net.get_submodule(name)
        state = part(state)
        for conv in part.columns[column]:
            expected = conv(expected)
        expected = part.pool(expected)
    torch.testing.assert_close(state[0], expected)
    assert state[1] == column


def test_local_joins_keep_the_mean_of_what_is_left():
    torch.manual_seed(0)
    join, columns = Join(0.5), [torch.tensor([1.0]), torch.tensor([2.0]), torch.tensor([6.0])]
    means = {round(join(columns, torch.tensor(-1)).item(), 3) for _ in range(200)}
    assert means == {1, 2, 6, 1.5, 3.5, 4, 3}  # of each subset but the empty one
    assert join.eval()(columns, None) == 3


@pytest.mark.no_cover
def test_how_often_a_column_is_dropped():
    """Of two, each goes with 15%; where both would, one of them stays."""
    torch.manual_seed(0)
    join = Join(0.15)
    keep = torch.stack([join._keep(2, torch.device("cpu"), None) for _ in range(20_000)])
    assert keep.any(1).all()
    assert (~keep).float().mean(0).tolist() == pytest.approx([0.15 - 0.15**2 / 2] * 2, abs=0.01)


def test_how_often_a_column_is_global():
    torch.manual_seed(0)
    draw, x = ColumnDraw(3, 0.5), torch.zeros(1)
    counts = torch.bincount(torch.stack([draw(x, None) for _ in range(6000)]) + 1) / 6000
    assert counts.tolist() == pytest.approx([1 / 2, 1 / 6, 1 / 6, 1 / 6], abs=0.02)
    assert draw(x, torch.tensor(2)) == 2
    assert draw.eval()(x, None) is None


def test_the_first_block_in_training_draws_for_those_after_it():
    torch.manual_seed(0)
    net, x = timm.create_model("fractalnet", global_ratio=1.0, **SURE), torch.randn(4, 3, 32, 32)
    net.block1.eval()  # as a frozen block is
    state = net.block1(x)
    assert state[1] is None
    state = net.block2(state)
    assert 0 <= state[1] < 3
    assert net.block3(state)[1] is state[1]


def test_training_repeats_from_the_same_seed():
    net, x = timm.create_model("fractalnet", **SMALL), torch.randn(4, 3, 32, 32)

    def logits(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return net(x)

    assert torch.equal(logits(0), logits(0))
    assert not torch.equal(logits(0), logits(1))


@pytest.mark.parametrize("global_ratio", [0.0, 1.0])
def test_checkpointing_draws_once(global_ratio):
    """The backward pass computes the blocks again with the columns that the forward pass drew."""
    net, x = timm.create_model("fractalnet", global_ratio=global_ratio, **SMALL), torch.randn(4, 3, 32, 32)
    saving = copy.deepcopy(net)
    saving.set_grad_checkpointing()
    for each in (net, saving):
        torch.manual_seed(3)
        each(x).square().sum().backward()
    for (name, expected), actual in zip(net.named_parameters(), saving.parameters(), strict=True):
        assert expected.grad is not None, name  # of dropped columns too, or DistributedDataParallel would wait for it
        assert torch.equal(expected.grad, actual.grad), name


def test_four_columns_and_their_dropout():
    with torch.device("meta"):
        net = timm.create_model("fractalnet", columns=4)
    assert [len(column) for column in net.block1.columns] == [8, 4, 2, 1]
    rates = [{m.p for m in net.get_submodule(n).modules() if isinstance(m, nn.Dropout)} for n in net.stage_names]
    assert rates == [{0.0}, {0.1}, {0.2}, {0.3}, {0.4}]


def test_initialisation_is_xavier():
    torch.manual_seed(0)
    conv = timm.create_model("fractalnet").block4.columns[0][1].conv
    bound = (6 / (9 * 512 + 9 * 512)) ** 0.5
    assert conv.weight.abs().max().item() == pytest.approx(bound, rel=1e-3)
    assert conv.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.01)
    assert (conv.bias == 0).all()
