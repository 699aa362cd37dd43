"""A model's parameters in order from the stem to the head, as timm's coarse group matcher gives them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from timm.models import group_parameters
from torch import nn

from cnntrain.core.errors import InputError

HEAD = "head"


@dataclass(frozen=True)
class Group:
    """One stage of a model: its name for people and the names of its parameters."""

    name: str
    parameters: tuple[str, ...]


def coarse_groups(model: nn.Module) -> list[Group]:
    """Every parameter of `model` in exactly one group; the last group, "head", is the classifier.

    The classifier is what ``get_classifier`` returns, never a group number: the last coarse group of some models holds
    norm or fully connected layers besides it.

    Raises:
        InputError: the model has no classifier, or timm's matcher leaves parameters out.
    """
    head = classifier_parameters(model)
    if not head:
        raise InputError(f"{type(model).__name__} has no classifier with parameters (is num_classes 0?)")
    by_id = group_parameters(model, _matcher(model, coarse=True))
    bodies = [[name for name in names if name not in head] for _, names in sorted(by_id.items())]
    every = [name for name, _ in model.named_parameters()]
    groups = [Group(_common_name(names, every), tuple(names)) for names in bodies if names]
    groups.append(Group(HEAD, tuple(name for name in every if name in head)))
    claimed = sorted(name for group in groups for name in group.parameters)
    if claimed != sorted(every):
        missing = sorted(set(every) - set(claimed))
        raise InputError(f"{type(model).__name__}: no group of timm's matcher claims {', '.join(missing)}")
    return groups


def layer_numbers(model: nn.Module) -> dict[str, int]:
    """For each parameter the number of its layer, from the stem's 0 on, as timm's fine group matcher counts them."""
    numbers = group_parameters(model, _matcher(model, coarse=False), reverse=True)
    return {name: numbers[name] for name, _ in model.named_parameters()}


def _matcher(model: nn.Module, coarse: bool) -> Any:
    """The model's own group matcher; a few of timm's have none, or none of this kind: their children are the groups."""
    try:
        return cast(Any, model).group_matcher(coarse=coarse)
    except (AttributeError, AssertionError):
        order = [name for name, _ in model.named_children()]
        return lambda name: order.index(name.partition(".")[0]) if "." in name else 0


def classifier_modules(model: nn.Module) -> list[str]:
    """Names of the modules that ``get_classifier`` returns (some models return several)."""
    classifier = cast(Any, model).get_classifier()
    found = classifier if isinstance(classifier, (tuple, list, nn.ModuleList)) else [classifier]
    return [name for name, module in model.named_modules() if any(module is each for each in found)]


def classifier_parameters(model: nn.Module) -> set[str]:
    """Names of the classifier's parameters."""
    prefixes = tuple(f"{name}." for name in classifier_modules(model))
    return {name for name, _ in model.named_parameters() if name.startswith(prefixes)}


def _common_name(names: list[str], every: list[str]) -> str:
    """The module that holds just these parameters, such as ``layer1``; else the first and the last of several."""
    inside = set(names)

    def module(name: str) -> str:
        """The outermost module with the parameter `name` and with none of another group."""
        ends = [end for end, letter in enumerate(name) if letter == "."]
        held = (name[:end] for end in ends if inside.issuperset(n for n in every if n.startswith(name[: end + 1])))
        return next(held, name)

    first, last = module(names[0]), module(names[-1])
    return first if first == last else f"{first}..{last}"
