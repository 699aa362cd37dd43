"""Each optimizer against torch's own, or timm's, built by hand."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict
from typing import Any

import pytest
import torch
from timm.optim import get_optimizer_info, list_optimizers
from timm.optim.lamb import Lamb
from torch import nn

from cnntrain.config.check import section
from cnntrain.core.errors import ConfigError
from cnntrain.optim.adamw import AdamW
from cnntrain.optim.base import Optim
from cnntrain.optim.groups import load_by_name, parameter_groups
from cnntrain.optim.rmsprop import RMSprop
from cnntrain.optim.sgd import SGD
from cnntrain.optim.timm import Timm

COMMON: dict[str, Any] = {"lr": 0.05, "weight_decay": 0.1, "decay_norms_and_biases": True, "norm_bias_lr_multiplier": 1}
Build = Callable[[list[nn.Parameter]], torch.optim.Optimizer]
PAIRS: dict[str, tuple[Optim, Build]] = {
    "sgd": (
        SGD("sgd", **COMMON, momentum=0.9, nesterov=False),
        lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=0.1),
    ),
    "nesterov": (
        SGD("sgd", **COMMON, momentum=0.8, nesterov=True),
        lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.8, weight_decay=0.1, nesterov=True),
    ),
    "adamw": (
        AdamW("adamw", **COMMON, beta1=0.8, beta2=0.95, eps=1e-6),
        lambda p: torch.optim.AdamW(p, lr=0.05, weight_decay=0.1, betas=(0.8, 0.95), eps=1e-6),
    ),
    "rmsprop": (
        RMSprop("rmsprop", **COMMON, momentum=0.9, alpha=0.95, eps=1e-3),
        lambda p: torch.optim.RMSprop(p, lr=0.05, weight_decay=0.1, momentum=0.9, alpha=0.95, eps=1e-3),
    ),
    "timm": (
        Timm("timm", **COMMON, opt="lamb", args={"betas": [0.8, 0.95]}),
        lambda p: Lamb(p, lr=0.05, weight_decay=0.1, betas=(0.8, 0.95)),
    ),
}
# but for those that compile for seconds
OF_TIMM = sorted(each for each in map(str, list_optimizers()) if not each.startswith("kron"))


def network() -> nn.Sequential:
    torch.manual_seed(0)
    layers = [nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(36, 5)]
    return nn.Sequential(*layers).double()


def equal(model: nn.Module) -> dict[str, float]:
    """The same rate for every parameter."""
    return {name: 1.0 for name, _ in model.named_parameters()}


def train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int = 10) -> None:
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        images = torch.randn(6, 2, 5, 5, generator=generator, dtype=torch.float64)
        model(images).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()


@pytest.mark.parametrize("name", PAIRS)
def test_ten_steps_are_torchs(name: str) -> None:
    optim, build = PAIRS[name]
    model = network()
    reference = deepcopy(model)
    train(model, optim.build(parameter_groups(model, optim, equal(model))))
    train(reference, build(list(reference.parameters())))
    for mine, theirs in zip(model.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-11)  # fused, they round otherwise


def test_momentum_of_what_is_released_added_or_lost_later_starts_from_zero() -> None:
    optim = SGD("sgd", 0.05, 0.0, decay_norms_and_biases=True, norm_bias_lr_multiplier=1, momentum=0.9, nesterov=False)
    last = []
    for fused in (True, False):
        model = network()
        *first, weight, bias = model.parameters()
        groups = [{"params": first, "lr": 0.05, "weight_decay": 0.0}]
        optimizer = optim.build(groups) if fused else torch.optim.SGD(groups, 0.05, 0.9, foreach=False)
        for change in range(5):
            first[0].requires_grad_(change > 0)
            weight.requires_grad_(change > 2)
            if change == 2:
                optimizer.add_param_group({"params": [weight, bias], "lr": 0.05, "weight_decay": 0.0})
            elif change == 4:
                state = optimizer.state_dict()
                del state["state"][2]
                optimizer.load_state_dict(state)
            train(model, optimizer, 3)
        last.append([*model.parameters()])
    assert len(optimizer.state) == 6
    for mine, theirs in zip(*last, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", PAIRS)
def test_frozen_parameters_neither_move_nor_decay(name: str) -> None:
    optim = PAIRS[name][0]
    model = network()
    before = deepcopy(model.state_dict())
    model[0].requires_grad_(False)
    train(model, optim.build(parameter_groups(model, optim, equal(model))), 3)
    for key, value in model[0].state_dict(prefix="0.").items():
        assert torch.equal(value, before[key])
    assert not torch.equal(model[3].weight, before["3.weight"])


def test_norms_and_biases_stay_without_decay_or_gradient() -> None:
    model = network()
    optim = SGD("sgd", 0.5, 0.1, decay_norms_and_biases=False, norm_bias_lr_multiplier=1, momentum=0, nesterov=False)
    before = deepcopy(model.state_dict())
    optimizer = optim.build(parameter_groups(model, optim, equal(model)))
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, parameter in model.named_parameters():
        factor = 0.95 if parameter.ndim > 1 else 1.0
        torch.testing.assert_close(parameter.detach(), factor * before[name])


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("sgd", {"lr": 0}, "optim.lr=0 must be a number above 0"),
        ("sgd", {"lr": float("nan")}, "optim.lr=nan must be a number above 0"),
        ("sgd", {"weight_decay": -1}, "optim.weight_decay=-1 must be a number at least 0"),
        ("sgd", {"momentum": 1.0}, "optim.momentum=1.0 must be a number at least 0 and below 1"),
        ("sgd", {"momentum": 0, "nesterov": True}, "optim.nesterov=true needs a momentum above 0"),
        ("adamw", {"beta1": 1}, "optim.beta1=1 must be a number at least 0 and below 1"),
        ("adamw", {"beta2": -1}, "optim.beta2=-1 must be a number at least 0 and below 1"),
        ("adamw", {"eps": 0}, "optim.eps=0 must be a number above 0"),
        ("rmsprop", {"alpha": 2}, "optim.alpha=2 must be a number at least 0 and below 1"),
        ("rmsprop", {"momentum": -1}, "optim.momentum=-1 must be a number at least 0 and below 1"),
        ("rmsprop", {"eps": 0}, "optim.eps=0 must be a number above 0"),
    ],
)
def test_limits(name: str, changes: dict[str, Any], message: str) -> None:
    optim = PAIRS[name][0]
    assert section(asdict(optim), type(optim), "optim") == optim
    with pytest.raises(ConfigError) as caught:
        section({**asdict(optim), **changes}, type(optim), "optim")
    assert caught.value.problems == (message,)


@pytest.mark.parametrize(
    ("opt", "args", "message"),
    [
        ("lambb", {}, "optim.opt=lambb is no optimizer of timm's; did you mean 'lamb'"),
        ("lamb", {"beta": 1}, "optim.opt=lamb with optim.args={'beta': 1} cannot be used here: "),
        ("adamw", {"capturable": True}, "optim.opt=adamw with optim.args={'capturable': True} cannot be used here: "),
        ("adamw", {"differentiable": True}, "optim.opt=adamw with optim.args={'differentiable': True} cannot be used"),
        ("adamw", {"lr": 1}, "optim.opt=adamw with optim.args={'lr': 1} cannot be used here: "),
        ("adahessian", {}, "optim.opt=adahessian needs second derivatives, and training computes first ones"),
        ("bnbadamw", {}, "optim.opt=bnbadamw cannot be used here: CUDA required for bitsandbytes optimizers"),
        ("fusedsgd", {}, "optim.opt=fusedsgd cannot be used here: CUDA required for APEX optimizers"),
    ],
)
def test_what_cannot_be_used_is_said(opt: str, args: dict[str, Any], message: str) -> None:
    model, optim = network(), Timm("timm", **COMMON, opt=opt, args=args)
    with pytest.raises(ConfigError) as caught:
        optim.build(parameter_groups(model, optim, equal(model)))
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


@pytest.mark.parametrize("opt", OF_TIMM)
def test_each_of_timms_is_refused_or_trains(opt: str) -> None:
    model, optim = network().float(), Timm("timm", **COMMON, opt=opt, args={})
    model[0].requires_grad_(False)
    before = deepcopy(model.state_dict())
    try:
        optimizer = load_by_name(optim.build(parameter_groups(model, optim, equal(model))))
    except ConfigError:
        assert get_optimizer_info(opt).second_order or opt.startswith(("bnb", "fused"))
        return
    for _ in range(2):
        model(torch.randn(6, 2, 5, 5)).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    moved = {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    assert "3.weight" in moved and not any(key.startswith("0.") for key in moved)
    optimizer.load_state_dict(deepcopy(optimizer.state_dict()))
