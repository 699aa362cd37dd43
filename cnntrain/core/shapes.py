"""What was written to be read again, held against the type that its reader takes it for."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

LARGEST = {int: 2**63 - 1, float: sys.float_info.max}


def hints(shape: Any) -> Mapping[str, Any]:
    """The types of a class's keys with their limits; they stand there as texts, whose evaluation takes milliseconds."""
    return _evaluated(shape, True)


def unlike(value: Any, shape: Any, name: str = "it") -> str | None:
    """Why a value is not of a shape; None where it is.

    Args:
        shape: a class, a list, a dict or a union of such, or a TypedDict or dataclass, whose keys are meant; others may
            stand beside them.
    """
    parts: list[tuple[Any, Any, str]] = []
    if is_typeddict(shape) or is_dataclass(shape):
        wanted, needed = _evaluated(shape, False), _needed(shape)
        missing = sorted(needed - value.keys()) if isinstance(value, dict) else []
        if missing:
            return f"{name} has no {', '.join(missing)}"
        fits = isinstance(value, dict)
        parts = [(value[key], wanted[key], key) for key in wanted if fits and key in value]
    elif get_origin(shape) in (Union, UnionType):
        fits = any(unlike(value, each) is None for each in get_args(shape))
    elif get_origin(shape) is list:
        fits = isinstance(value, list)
        parts = [(each, get_args(shape)[0], name) for each in value] if fits else []
    elif get_origin(shape) is dict:
        fits = isinstance(value, dict)
        parts = [(each, get_args(shape)[1], key) for key, each in value.items()] if fits else []
    elif shape in LARGEST:
        kinds = (int, float) if shape is float else (int,)
        fits = type(value) in kinds and (value != value or abs(value) <= LARGEST[shape])  # nan is a number here
    else:
        fits = shape is Any or type(value) is shape
    return next(filter(None, (unlike(*each) for each in parts)), None) if fits else f"{name} is not as it was written"


@cache
def _evaluated(shape: Any, extras: bool) -> Mapping[str, Any]:
    return get_type_hints(shape, include_extras=extras)


@cache
def _needed(shape: Any) -> set[str]:
    if is_typeddict(shape):
        # __required_keys__ does not see through annotations as text
        return {key for key, each in hints(shape).items() if get_origin(each) is not NotRequired}
    return {each.name for each in fields(shape) if each.default is MISSING and each.default_factory is MISSING}
