"""Who moves how fast and decays how much, and that a parameter's state is found again by its name."""

from __future__ import annotations

import math
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import nn

from cnntrain.optim.adamw import AdamW
from cnntrain.optim.base import Optim
from cnntrain.optim.groups import load_by_name, parameter_groups
from cnntrain.optim.rmsprop import RMSprop
from cnntrain.optim.sgd import SGD

COMMON: dict[str, Any] = {
    "lr": 0.05,
    "weight_decay": 0.1,
    "decay_norms_and_biases": False,
    "norm_bias_lr_multiplier": 1,
}
PLAIN = SGD("sgd", **COMMON, momentum=0, nesterov=False)
WITH_STATE: list[Optim] = [
    SGD("sgd", **COMMON, momentum=0.9, nesterov=False),
    AdamW("adamw", **COMMON, beta1=0.8, beta2=0.95, eps=1e-6),
    RMSprop("rmsprop", **COMMON, momentum=0.9, alpha=0.95, eps=1e-3),
]
NAMES = ["0.weight", "0.bias", "1.weight", "1.bias", "3.weight", "3.bias"]


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(36, 5)).double()


def multipliers(*values: float) -> dict[str, float]:
    return dict(zip(NAMES, values, strict=True))


def test_every_parameter_is_in_one_group_with_its_rate_and_decay() -> None:
    model = network()
    groups = parameter_groups(model, PLAIN, multipliers(1, 1, 1, 0.5, 10, 10))
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    found = {
        names[id(p)]: (name, group["lr"], group["base_lr"], group["weight_decay"])
        for group in groups
        for name, p in group["params"]
    }
    body, slow, head = (0.05, 0.05), (0.025, 0.025), (0.5, 0.5)
    assert found == {
        "0.weight": ("0.weight", *body, 0.1), "0.bias": ("0.bias", *body, 0.0), "1.weight": ("1.weight", *body, 0.0),
        "1.bias": ("1.bias", *slow, 0.0), "3.weight": ("3.weight", *head, 0.1), "3.bias": ("3.bias", *head, 0.0),
    }  # fmt: skip
    assert sum(len(group["params"]) for group in groups) == 6
    assert len(groups) == 5  # 0.bias and 1.weight share all


def test_biases_of_norms_may_move_faster_and_decay_as_the_others_do() -> None:
    optim = SGD("sgd", 0.05, 0.1, True, 64, momentum=0, nesterov=False)
    model = nn.Sequential(
        network(), nn.Sequential(nn.GroupNorm(1, 5), nn.LayerNorm(5), nn.InstanceNorm1d(5, affine=True))
    )
    names = [name for name, _ in model.named_parameters()]
    groups = parameter_groups(model, optim, dict.fromkeys(names, 2.0), {"0.1.bias": 3.0})
    found = {name: (group["base_lr"], group["weight_decay"]) for group in groups for name, _ in group["params"]}
    fast = {"1.0.bias", "1.1.bias", "1.2.bias"}
    assert found == {
        **dict.fromkeys(names, (pytest.approx(0.1), pytest.approx(0.1))),
        **dict.fromkeys(fast, (pytest.approx(6.4), pytest.approx(0.1 / 64))),
        "0.1.bias": (pytest.approx(6.4), pytest.approx(0.3 / 64)),
    }
    assert names[0] in dict(groups[0]["params"])  # the rate that a run shows is the body's


def test_a_parameter_may_have_a_decay_of_its_own() -> None:
    optim = SGD("sgd", 0.05, 0.1, True, 1, momentum=0, nesterov=False)
    groups = parameter_groups(network(), optim, multipliers(1, 1, 1, 1, 2, 2), {"3.weight": 5.0, "3.bias": 0.0})
    found = {name: (group["lr"], group["weight_decay"]) for group in groups for name, _ in group["params"]}
    assert found == {**dict.fromkeys(NAMES[:4], (0.05, 0.1)), "3.weight": (0.1, 0.5), "3.bias": (0.1, 0.0)}
    plain = parameter_groups(network(), PLAIN, multipliers(1, 1, 1, 1, 1, 1), {"3.bias": 5.0})
    assert {name: group["weight_decay"] for group in plain for name, _ in group["params"]}["3.bias"] == 0.0


def test_the_groups_come_as_the_multipliers_name_them_first() -> None:
    given = {name: 3.0 if name.startswith("3") else 1.0 for name in reversed(NAMES)}
    rates = [group["lr"] for group in parameter_groups(network(), PLAIN, given)]
    assert rates == pytest.approx([0.15, 0.15, 0.05, 0.05])


def test_a_multiplier_for_each_parameter_and_no_other() -> None:
    for wrong in ({}, multipliers(1, 1, 1, 1, 1, 1) | {"4.bias": 1.0}):
        with pytest.raises(AssertionError):
            parameter_groups(network(), PLAIN, wrong)


def optimizer_of(model: nn.Module, optim: Optim, *values: float) -> torch.optim.Optimizer:
    return load_by_name(optim.build(parameter_groups(model, optim, multipliers(*values))))


def step(model: nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> None:
    images = torch.randn(6, 2, 5, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    model(images).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad()


def by_name(optimizer: torch.optim.Optimizer) -> dict[str, dict[str, Any]]:
    named = [
        each for group in optimizer.param_groups for each in zip(group["param_names"], group["params"], strict=True)
    ]
    return {name: dict(optimizer.state[parameter]) for name, parameter in named if parameter in optimizer.state}


@pytest.mark.parametrize("optim", WITH_STATE, ids=lambda each: each.name)
@pytest.mark.parametrize("after", [(1, 1, 1, 1, 1, 1), (0.25, 0.25, 0.5, 0.5, 1, 1), (1, 1, 1, 1, 0.1, 0.1)])
def test_the_state_goes_with_the_name_whatever_the_groups(optim: Optim, after: tuple[float, ...]) -> None:
    model = network()
    before = optimizer_of(model, optim, 1, 1, 1, 1, 10, 10)
    model[1].requires_grad_(False)  # has no state yet
    for seed in range(3):
        step(model, before, seed)
    loaded = optimizer_of(deepcopy(model), optim, *after)
    loaded.load_state_dict(before.state_dict())
    old, new = by_name(before), by_name(loaded)
    assert set(new) == set(old) == {name for name in NAMES if not name.startswith("1.")}
    for name, state in old.items():
        assert state.keys() == new[name].keys()
        for key, value in state.items():
            torch.testing.assert_close(new[name][key], value, rtol=0, atol=0)


@pytest.mark.parametrize("optim", WITH_STATE, ids=lambda each: each.name)
def test_after_a_load_training_goes_on_as_if_never_interrupted(optim: Optim) -> None:
    rates = (0.5, 0.5, 1, 1, 2, 2)
    model = network()
    optimizer = optimizer_of(model, optim, *rates)
    step(model, optimizer, 0)
    copy = deepcopy(model)
    resumed = optimizer_of(copy, optim, *rates)
    resumed.load_state_dict(deepcopy(optimizer.state_dict()))  # torch shares the tensors
    for seed in range(1, 4):
        step(model, optimizer, seed)
        step(copy, resumed, seed)
    for mine, theirs in zip(copy.parameters(), model.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_the_last_rate_comes_with_the_state() -> None:
    before = optimizer_of(network(), PLAIN, 1, 1, 1, 1, 10, 10)
    for group in before.param_groups:
        group["lr"] = group["base_lr"] / 2
    loaded = optimizer_of(network(), PLAIN, 1, 1, 1, 1, 10, 10)
    loaded.load_state_dict(before.state_dict())
    assert [group["lr"] for group in loaded.param_groups] == [group["lr"] for group in before.param_groups]


def test_the_state_of_other_parameters_is_refused() -> None:
    model = nn.Linear(2, 2)
    other = load_by_name(PLAIN.build(parameter_groups(model, PLAIN, {"weight": 1.0, "bias": 1.0})))
    with pytest.raises(ValueError, match=r"is not of these parameters: .*'weight'"):
        optimizer_of(network(), PLAIN, 1, 1, 1, 1, 1, 1).load_state_dict(other.state_dict())


def test_a_state_without_names_is_refused_rather_than_taken_by_position() -> None:
    optimizer = optimizer_of(network(), PLAIN, 1, 1, 1, 1, 1, 1)
    state = optimizer.state_dict()
    for group in state["param_groups"]:
        del group["param_names"]
    with pytest.raises(ValueError, match="does not name its parameters"):
        optimizer.load_state_dict(state)


@pytest.mark.parametrize("optim", WITH_STATE, ids=lambda each: each.name)
@pytest.mark.parametrize("other", [-1, "x", math.nan, None, {}])
def test_a_state_that_is_something_else_for_a_parameter_is_refused_before_a_step(optim: Optim, other: object) -> None:
    """torch takes it, and fails in the first step."""
    model = network()
    optimizer = optimizer_of(model, optim, 1, 1, 1, 1, 1, 1)
    step(model, optimizer, 0)
    saved = optimizer.state_dict()
    optimizer.load_state_dict(deepcopy(saved))
    for key in saved["state"][3]:
        changed = deepcopy(saved)
        changed["state"][3][key] = other
        with pytest.raises(ValueError, match=r"the optimizer's state of .* is not as it was written"):
            optimizer.load_state_dict(changed)
    saved["state"][3] = other
    if other != {}:
        with pytest.raises(ValueError, match=r"the optimizer's state of .* is not as it was written"):
            optimizer.load_state_dict(saved)
