"""JSON that any other program reads."""

from __future__ import annotations

import json
from math import inf, nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnntrain.core import plain_json

numbers = st.floats(allow_nan=False, allow_infinity=False)
scalars = st.one_of(st.none(), st.booleans(), st.integers(), numbers, st.text())
trees = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=9)


@given(trees)
def test_what_is_finite_is_what_jsons_own_writer_makes_of_it(tree: Any) -> None:
    assert plain_json.text(tree) == json.dumps(tree)
    assert json.loads(plain_json.text([tree, nan], indent=2)) == [tree, None]


@pytest.mark.parametrize("value", [nan, inf, -inf])
def test_what_is_no_number_is_null_at_any_depth(value: float) -> None:
    assert plain_json.text({"a": value, "b": [1.5, (value, {"c": value})]}) == (
        '{"a": null, "b": [1.5, [null, {"c": null}]]}'
    )


@pytest.mark.parametrize("value", [object(), {1, 2}, b"x", {(1,): 2}])
def test_what_json_cannot_hold_is_an_error(value: Any) -> None:
    with pytest.raises(TypeError):
        plain_json.text([nan, value])
