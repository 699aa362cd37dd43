"""Which values of a graph are fixed, and what tells two networks apart, one operation at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from cnntrain.transfer.frozen.trace import DROPOUT, RANDOM, Trace, _is_plain, _is_pure, digest, has_parameters, in_place


class Computes(nn.Module):
    """A network of one function, with a frozen and a trained weight, a buffer and a few modules at hand."""

    def __init__(self, function: Callable[[Computes, Tensor], Any]) -> None:
        super().__init__()
        self.function = function
        self.frozen = nn.Parameter(torch.ones(3), requires_grad=False)
        self.trained = nn.Parameter(torch.ones(3))
        self.register_buffer("counted", torch.ones(3))
        self.relu, self.drop, self.norm, self.fc = nn.ReLU(), nn.Dropout(), nn.BatchNorm1d(3), nn.Linear(3, 3)
        self.norm.requires_grad_(False)
        self.over, self.noisy = nn.ReLU(inplace=True), nn.RReLU()

    def forward(self, x: Tensor) -> Any:
        return self.function(self, x)


def last(function: Callable[[Computes, Tensor], Any], training: bool = True) -> tuple[fx.Node, Computes, Trace]:
    """The node of the function's value."""
    model = Computes(function).train(training)
    trace = Trace(model)
    return list(trace.graph.nodes)[-2], model, trace


def is_fixed(function: Callable[[Computes, Tensor], Any], training: bool = True) -> bool:
    node, model, trace = last(function, training)
    fixed = trace.fixed(model)
    assert not any(each.op == "output" for each in fixed)
    assert all(each in fixed for each in trace.graph.nodes if each.op == "placeholder")
    return node in fixed


@pytest.mark.parametrize(
    ("function", "fixed"),
    [
        (lambda m, x: x + 1, True),
        (lambda m, x: x + m.frozen, True),
        (lambda m, x: x + m.trained, False),
        (lambda m, x: (x + m.trained) + m.frozen, False),  # one value that is not fixed is enough
        (lambda m, x: x + m.counted, False),  # it may be counted up
        (lambda m, x: m.relu(x), True),
        (lambda m, x: m.norm(x), False),
        (lambda m, x: m.fc(x), False),
        (lambda m, x: m.drop(x), False),
        (lambda m, x: m.noisy(x), False),
        (lambda m, x: F.dropout(x), False),
        (lambda m, x: F.dropout(x, 0.3), False),
        (lambda m, x: F.dropout(x, 0.0), True),
        (lambda m, x: F.dropout(x, p=0.0), True),
        (lambda m, x: F.dropout(x, 0.5, False), True),
        (lambda m, x: F.dropout(x, training=False), True),
        (lambda m, x: F.dropout(x, 0.5, True, True), False),
        (lambda m, x: F.feature_alpha_dropout(x, 0.5, True), False),
        (lambda m, x: torch.dropout(x, 0.5, True), False),  # whose arguments stay in their places
        (lambda m, x: torch.dropout(x, 0.5, False), True),
        (lambda m, x: torch.dropout(x, 0.0, True), True),
        (lambda m, x: torch.dropout(x, p=0.5, train=True), False),
        (lambda m, x: x.bernoulli(), False),
        (lambda m, x: x.relu(), True),
        (lambda m, x: torch.rand_like(x), False),
        (lambda m, x: F.batch_norm(x, None, None, training=True), False),
        (lambda m, x: F.batch_norm(x, None, None, None, None, True), False),
        (lambda m, x: F.batch_norm(x, m.frozen, m.frozen, None, None, False), True),
        (lambda m, x: F.batch_norm(x, m.frozen, m.frozen), True),
        (lambda m, x: torch.batch_norm(x, None, None, None, None, True, 0.1, 1e-5, False), False),
        (lambda m, x: torch.batch_norm(x, None, None, m.frozen, m.frozen, False, 0.1, 1e-5, False), True),
        (lambda m, x: F.batch_norm(m.frozen.view(1, 3, 1), None, None, training=True), True),
        (lambda m, x: F.batch_norm((x + 1) * m.frozen, None, None, training=True), False),  # by way of other values
    ],
)
def test_a_value_of_a_network_in_training_is_fixed_or_not(
    function: Callable[[Computes, Tensor], Any], fixed: bool
) -> None:
    assert is_fixed(function) == fixed


def test_in_evaluation_mode_nothing_is_counted_and_modules_draw_nothing() -> None:
    for function in (
        lambda m, x: x + m.counted,
        lambda m, x: m.norm(x),
        lambda m, x: m.drop(x),
        lambda m, x: m.noisy(x),
    ):
        assert is_fixed(function, training=False)
    assert not is_fixed(lambda m, x: m.fc(x), training=False)  # it is trained all the same


def test_the_names_are_torchs() -> None:
    """A misspelt one would let what is random pass for fixed."""
    places = (torch, torch.Tensor, F)
    for name in RANDOM:
        assert any(hasattr(place, name) for place in places), name
    assert {name for name in dir(F) if "dropout" in name and not name.startswith("_")} <= DROPOUT


class Own(nn.Module):
    """In training mode it may do anything."""


class OwnReLU(nn.ReLU):
    """What it inherits does not draw."""


def test_a_module_is_pure_that_is_torchs_and_has_no_state() -> None:
    found = [_is_pure(each) for each in (nn.ReLU(), OwnReLU(), nn.Conv2d(1, 1, 1), nn.Identity())]
    assert found == [True] * 4
    others = (Own(), nn.BatchNorm2d(3), nn.Dropout2d(), nn.AlphaDropout(), nn.RReLU(), nn.FractionalMaxPool2d(2, 1))
    assert [_is_pure(each) for each in others] == [False] * len(others)


@pytest.mark.parametrize(
    ("function", "weights", "place"),
    [
        (lambda m, x: x + 1, False, False),
        (lambda m, x: x.add_(1), False, True),
        (lambda m, x: x.relu(), False, False),
        (lambda m, x: torch.relu_(x), False, True),
        (lambda m, x: F.relu(x, inplace=True), False, True),
        (lambda m, x: F.relu(x), False, False),
        (lambda m, x: m.relu(x), False, False),
        (lambda m, x: m.over(x), False, True),
        (lambda m, x: m.fc(x), True, False),
        (lambda m, x: m.frozen, True, False),
    ],
)
def test_which_operations_read_weights_and_which_write_in_place(
    function: Callable[[Computes, Tensor], Any], weights: bool, place: bool
) -> None:
    node, model, _ = last(function)
    assert has_parameters(node, model) is weights
    assert in_place(node, model) is place


def key(module: nn.Module) -> str:
    """Of the value of the module alone."""
    model = nn.Sequential(module).eval()
    trace = Trace(model)
    return trace.keys[list(trace.graph.nodes)[-2]]


def with_own_activation() -> nn.Module:
    def activation(x: Tensor) -> Tensor:
        return F.relu(x)

    return nn.TransformerEncoderLayer(4, 1, 8, activation=activation, batch_first=True)


def test_the_key_of_a_modules_value_is_of_its_settings_alone() -> None:
    """Not of its weights, its mode or what it has for its own use: so two traces of a network agree."""
    kinds: list[Callable[[], nn.Module]] = [
        lambda: nn.Conv2d(3, 4, 3),
        lambda: nn.Conv2d(3, 4, 3, stride=2),
        lambda: nn.Conv2d(3, 4, 3, padding="same"),
        lambda: nn.Conv2d(3, 4, 3, dilation=2),
        lambda: nn.BatchNorm2d(4, eps=1e-5),
        lambda: nn.BatchNorm2d(4, eps=1e-3),
        lambda: nn.BatchNorm2d(4, track_running_stats=False),
        lambda: nn.GELU(),
        lambda: nn.GELU("tanh"),
        lambda: nn.ReLU(),
        lambda: nn.TransformerEncoderLayer(4, 1, 8, activation=F.relu, batch_first=True),
        lambda: nn.TransformerEncoderLayer(4, 1, 8, activation=F.silu, batch_first=True),
    ]
    keys = [key(make()) for make in kinds]
    assert len(set(keys)) == len(kinds)
    assert keys == [key(make()) for make in kinds]
    assert key(with_own_activation()) == key(with_own_activation())  # by its name, not by where it is in memory
    private = nn.ReLU()
    private._seen, private.note = 3, {"not": "plain"}  # type: ignore[assignment]
    assert key(private) == key(nn.ReLU())
    fixed = nn.Conv2d(3, 4, 3)
    trained = Trace(nn.Sequential(fixed).train())
    assert key(fixed) in trained.keys.values()
    assert len(digest("anything")) == 32  # 128 bits in hexadecimal


@pytest.mark.parametrize("value", [None, True, 3, 0.5, "same", torch.float16, (1, (2.0, None)), [1, 2]])
def test_a_plain_value_is_a_setting(value: Any) -> None:
    assert _is_plain(value) is True


@pytest.mark.parametrize("value", [torch.ones(2), {"a": 1}, object(), (1, torch.ones(2)), [object(), 1]])
def test_what_has_an_address_or_is_computed_is_none(value: Any) -> None:
    assert _is_plain(value) is False
