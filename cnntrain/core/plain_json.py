"""JSON as every program reads it: what is no finite number is null. Nothing else here writes JSON."""

from __future__ import annotations

import json
from math import isfinite
from typing import Any


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
