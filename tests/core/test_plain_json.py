"""JSON that any other program reads."""

from __future__ import annotations

import json
import re
from math import inf, nan
from typing import Any, NotRequired, TypedDict

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


@given(st.lists(trees), st.integers(1, 3))
def test_a_list_in_pieces_is_its_text(values: list[Any], at_once: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plain_json, "AT_ONCE", at_once)
        assert "".join(plain_json.in_pieces(iter(values))) == json.dumps(values)


@pytest.mark.parametrize("value", [nan, inf, -inf])
def test_what_is_no_number_is_null_at_any_depth(value: float) -> None:
    assert plain_json.text({"a": value, "b": [1.5, (value, {"c": value})]}) == (
        '{"a": null, "b": [1.5, [null, {"c": null}]]}'
    )


@pytest.mark.parametrize("value", [object(), {1, 2}, b"x", {(1,): 2}])
def test_what_json_cannot_hold_is_an_error(value: Any) -> None:
    with pytest.raises(TypeError):
        plain_json.text([nan, value])


class Shape(TypedDict):
    name: str
    count: NotRequired[int | None]
    values: NotRequired[dict[str, float]]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b'{"name": "a", "more": 1, "count": null, "values": {"b": 1, "c": 1.5}}', None),
        (b'{"name": "a", "values": {"b": NaN}}', "b is not as it was written"),
        (b'{"name": "a", "values": {"b": 1e400}}', "b is not as it was written"),
        (b'{"name": "a", "values": {"b": true}}', "b is not as it was written"),
        (b'{"name": "a", "values": [1]}', "values is not as it was written"),
        (b'{"name": "a", "count": 1.5}', "count is not as it was written"),
        (b'{"name": "a", "count": 1' + b"0" * 400 + b"}", "count is not as it was written"),
        (b'{"name": null}', "name is not as it was written"),
        (b'{"count": 1}', "it has no name"),
        (b"[]", "it is not as it was written"),
        (b"[" * 100_000, "it is nested too deep"),
        (b'{"name": "\xff"}', "can't decode"),
        (b'{"name": ', "Expecting value"),
    ],
)
def test_what_is_read_has_the_shape_that_its_reader_takes_it_for(content: bytes, problem: str | None) -> None:
    if problem is None:
        assert plain_json.read(content, Shape) == json.loads(content)
        return
    with pytest.raises(ValueError, match=re.escape(problem)):
        plain_json.read(content, Shape)


@given(trees)
def test_whatever_is_read_is_taken_or_refused(tree: Any) -> None:
    for shape in (Shape, list[Shape], dict[str, float | None]):
        try:
            plain_json.read(plain_json.text(tree), shape)
        except ValueError:
            continue
