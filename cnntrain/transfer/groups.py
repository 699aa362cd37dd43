"""A model's parameters in order from the stem to the head, as timm's coarse group matcher gives them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from timm.models import group_parameters
from torch import nn

from cnntrain.errors import InputError

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
    matcher = cast(Any, model).group_matcher(coarse=True)
    by_id = group_parameters(model, matcher)
    bodies = [[name for name in names if name not in head] for _, names in sorted(by_id.items())]
    every = [name for name, _ in model.named_parameters()]
    groups = [Group(_common_name(names, every), tuple(names)) for names in bodies if names]
    groups.append(Group(HEAD, tuple(name for name in every if name in head)))
    claimed = sorted(name for group in groups for name in group.parameters)
    if claimed != sorted(every):
        missing = sorted(set(every) - set(claimed))
        raise InputError(f"{type(model).__name__}: no group of timm's matcher claims {', '.join(missing)}")
    return groups


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
    paths = [name.split(".")[:-1] for name in names]
    shared: list[str] = []
    for level in zip(*paths, strict=False):
        if len(set(level)) > 1:
            break
        shared.append(level[0])
    if shared and sum(name.startswith(".".join([*shared, ""])) for name in every) == len(names):
        return ".".join(shared)
    tops = [".".join(path[: len(shared) + 1]) or name for path, name in zip(paths, names, strict=True)]
    return tops[0] if len(set(tops)) == 1 else f"{tops[0]}..{tops[-1]}"
