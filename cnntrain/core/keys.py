"""Dotted names: of a configuration's keys, of Python's modules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted keys to values."""
    values: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            values.update(flat(value, f"{prefix}{key}."))
        else:
            values[f"{prefix}{key}"] = value
    return values


def within(parents: Iterable[str]) -> Callable[[str], bool]:
    """Tells of names what `is_within` tells of one."""
    heads = tuple(f"{each}." for each in parents)
    return lambda name: f"{name}.".startswith(heads)


def is_within(name: str, parents: Iterable[str]) -> bool:
    """Whether a name is one of `parents` or below one: ``optim.lr`` is within ``optim``, ``optimum`` is not."""
    return within(parents)(name)
