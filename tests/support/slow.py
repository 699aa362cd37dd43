"""Parameters of a test, some of which are among the slow tests."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def slow_if(dear: Collection[Any], values: Iterable[Any], ids: Any = None) -> list[Any]:
    """For pytest's parametrize.

    Args:
        dear: whose test is slow.
        ids: what a value is called; None: pytest's own names.
    """
    return [
        pytest.param(each, marks=[pytest.mark.slow] * (each in dear), **({} if ids is None else {"id": ids(each)}))
        for each in values
    ]
