"""JSON as every program reads it: what is no finite number is null. Nothing else here writes or reads JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from math import isfinite
from typing import Any

from cnntrain.core.shapes import unlike

AT_ONCE = 4096


def text(value: Any, indent: int | None = None) -> str:
    """Dicts, lists and scalars as JSON; nan and the infinities, for which JSON has no word, as null."""
    try:
        return json.dumps(value, indent=indent, allow_nan=False)
    except ValueError:  # seldom: to look at every value first would take longer than to write them
        return json.dumps(_finite(value), indent=indent, allow_nan=False)


def in_pieces(values: Iterable[Any]) -> Iterator[str]:
    """The text of a list of these values, of which few are held at once."""
    rest, before = iter(values), "["
    while some := list(islice(rest, AT_ONCE)):
        yield before + text(some)[1:-1]
        before = ", "
    yield "]" if before == ", " else "[]"


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def read(content: str | bytes, shape: Any) -> Any:
    """What a text holds, held against the type that its reader takes it for.

    Args:
        shape: see `unlike`.

    Raises:
        ValueError: it is no JSON, or not of that shape.
    """
    try:
        value = json.loads(content, parse_constant=lambda name: None)  # the NaN of other writers
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    problem = unlike(value, shape)
    if problem is not None:
        raise ValueError(problem)
    return value
