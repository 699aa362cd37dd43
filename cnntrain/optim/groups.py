"""Parameter groups: which parameters decay, and how fast each one moves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from cnntrain.optim.base import Optim

NORMS = (_NormBase, nn.GroupNorm, nn.LayerNorm)  # the first: of batches and of instances


def parameter_groups(
    model: nn.Module, optim: Optim, multipliers: Mapping[str, float], decays: Mapping[str, float] | None = None
) -> list[dict[str, Any]]:
    """Every parameter of `model`, frozen or not, in groups of one learning rate and one weight decay.

    Frozen parameters belong too, since a policy may train them in a later epoch: an optimizer passes over a parameter
    without a gradient, so it neither moves nor decays. Each group keeps its unscheduled rate as ``base_lr``.

    Args:
        multipliers: for each parameter's name the factor on ``optim.lr``; the groups come in the order in which it
            first names one of theirs.
        decays: the factor on ``optim.weight_decay`` of the parameters that have another than 1, by their names.
    """
    exempt: set[str] = getattr(model, "no_weight_decay", set)()  # such as PReLU slopes, as the paper asks
    parameters = dict(model.named_parameters())
    assert multipliers.keys() == parameters.keys()
    faster = _norm_biases(model) if optim.norm_bias_lr_multiplier != 1 else set()
    members: dict[tuple[float, float], list[tuple[str, nn.Parameter]]] = {}
    for name, multiplier in multipliers.items():
        spared = name in exempt or not (optim.decay_norms_and_biases or parameters[name].ndim > 1)
        factor = 0.0 if spared else (decays or {}).get(name, 1.0)
        more = optim.norm_bias_lr_multiplier if name in faster else 1.0
        members.setdefault((multiplier * more, factor / more), []).append((name, parameters[name]))
    groups = []
    for (multiplier, factor), named in members.items():
        rate, decay = optim.lr * multiplier, optim.weight_decay * factor
        groups.append({"params": named, "lr": rate, "base_lr": rate, "weight_decay": decay})
    return groups


def _norm_biases(model: nn.Module) -> set[str]:
    """Names of what normalisations add to each channel."""
    norms = {path for path, module in model.named_modules() if isinstance(module, NORMS)}
    biases = {f"{path}.bias".lstrip(".") for path in norms}
    return {name for name, _ in model.named_parameters() if name in biases}


def load_by_name(optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    """Make `optimizer` find each parameter's state by the parameter's name; returns it.

    torch goes by position, but a run that is resumed with another transfer policy has other groups.
    """
    optimizer.register_load_state_dict_pre_hook(_regrouped)
    return optimizer


def _regrouped(optimizer: torch.optim.Optimizer, saved: dict[str, Any]) -> dict[str, Any]:
    """The state `saved`, with its parameters in the groups of `optimizer`.

    Raises:
        ValueError: it is the state of other parameters.
    """
    if not all("param_names" in group for group in saved["param_groups"]):
        raise ValueError("the optimizer's state does not name its parameters: an older cnntrain wrote it")
    home = {name: group for group in saved["param_groups"] for name in group["param_names"]}
    number = {
        name: index
        for group in saved["param_groups"]
        for name, index in zip(group["param_names"], group["params"], strict=True)
    }
    own = optimizer.state_dict()["param_groups"]
    names = {name: index for group in own for name, index in zip(group["param_names"], group["params"], strict=True)}
    if names.keys() != number.keys():
        raise ValueError(f"the optimizer's state is not of these parameters: {sorted(names.keys() ^ number.keys())}")
    state = {index: saved["state"][number[name]] for name, index in names.items() if number[name] in saved["state"]}
    _check_kinds(state, names)
    places = ("params", "param_names")
    groups = [{**home[group["param_names"][0]], **{key: group[key] for key in places}} for group in own]
    return {**saved, "state": state, "param_groups": groups}


def _check_kinds(state: Mapping[int, Any], names: Mapping[str, int]) -> None:
    """Raises ValueError where an optimizer keeps something else for one parameter than for the others: torch would take
    it, and fail in the first step."""
    kinds: dict[str, bool] = {}
    for name, index in names.items():
        kept = state.get(index, {})
        if not isinstance(kept, dict) or any(
            isinstance(value, Tensor) != kinds.setdefault(key, isinstance(value, Tensor)) for key, value in kept.items()
        ):
            raise ValueError(f"the optimizer's state of {name} is not as it was written")
