"""JSON as every program reads it: what is no finite number is null. Nothing else here writes or reads JSON."""

from __future__ import annotations

import json
import sys
from dataclasses import MISSING, fields, is_dataclass
from math import isfinite
from types import UnionType
from typing import Any, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

LARGEST = {int: 2**63 - 1, float: sys.float_info.max}


def text(value: Any, indent: int | None = None) -> str:
    """Dicts, lists and scalars as JSON; nan and the infinities, for which JSON has no word, as null."""
    try:
        return json.dumps(value, indent=indent, allow_nan=False)
    except ValueError:  # seldom: to look at every value first would take longer than to write them
        return json.dumps(_finite(value), indent=indent, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def read(content: str | bytes, shape: Any) -> Any:
    """What a text holds, held against the type that its reader takes it for.

    Args:
        shape: a scalar's type, a list, a dict or a union of such, or a TypedDict or dataclass, whose keys are meant;
            others may stand beside them.

    Raises:
        ValueError: it is no JSON, or not of that shape.
    """
    try:
        value = json.loads(content, parse_constant=lambda name: None)  # the NaN of other writers
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    problem = _unlike(value, shape)
    if problem is not None:
        raise ValueError(problem)
    return value


def _unlike(value: Any, shape: Any, name: str = "it") -> str | None:
    """Why a value is not of a shape."""
    parts: list[tuple[Any, Any, str]] = []
    if is_typeddict(shape) or is_dataclass(shape):
        wanted, needed = get_type_hints(shape), _needed(shape)
        missing = sorted(needed - value.keys()) if isinstance(value, dict) else []
        if missing:
            return f"{name} has no {', '.join(missing)}"
        fits = isinstance(value, dict)
        parts = [(value[key], wanted[key], key) for key in wanted if fits and key in value]
    elif get_origin(shape) in (Union, UnionType):
        fits = any(_unlike(value, each) is None for each in get_args(shape))
    elif get_origin(shape) is list:
        fits = isinstance(value, list)
        parts = [(each, get_args(shape)[0], name) for each in value] if fits else []
    elif get_origin(shape) is dict:
        fits = isinstance(value, dict)
        parts = [(each, get_args(shape)[1], key) for key, each in value.items()] if fits else []
    elif shape in LARGEST:
        kinds = (int, float) if shape is float else (int,)
        fits = type(value) in kinds and abs(value) <= LARGEST[shape]
    else:
        fits = type(value) is shape
    return next(filter(None, (_unlike(*each) for each in parts)), None) if fits else f"{name} is not as it was written"


def _needed(shape: Any) -> set[str]:
    if is_typeddict(shape):
        hints = get_type_hints(shape, include_extras=True)  # __required_keys__ does not see through annotations as text
        return {key for key, each in hints.items() if get_origin(each) is not NotRequired}
    return {each.name for each in fields(shape) if each.default is MISSING and each.default_factory is MISSING}
