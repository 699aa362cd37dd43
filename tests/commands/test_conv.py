"""The lectures' arithmetic as it is typed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

Typed = Callable[..., Any]


def test_numbers_stand_in_their_order(typed: Typed) -> None:
    done = typed("conv", "12", "5", "1", "0", "3", "256")
    assert done.returncode == 0, done.stderr
    assert "(12 - 5 + 2 x 0) / 1 + 1 = 8" in done.stdout and "it fits" in done.stdout
    assert "1,228,800" in done.stdout and "53,952" in done.stdout and "4.4%" in done.stdout
    facts = json.loads(typed("conv", "224", "11", "4", "0", "format=json").stdout)
    assert facts == {"output": 54, "exact": 54.25, "fits": False, "left_over": 1, "unseen_pixels": 447}
    told = typed("conv", "224", "11", "4", "1")
    assert "does not fit" in told.stdout and "are left over" in told.stdout


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("3", "7"), "padding=2 is the least"),
        (("227", "11", "4", "0", "3"), "give both of inputs"),
        (("227", "0"), "kernel"),
        (("227",), "kernel"),
        (("227", "11", "4", "0", "3", "96", "1"), "'1' is no key=value"),
    ],
)
def test_what_cannot_be(typed: Typed, words: tuple[str, ...], problem: str) -> None:
    done = typed("conv", *words)
    assert done.returncode == 2 and problem in done.stderr
