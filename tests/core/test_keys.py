"""Dotted names."""

from __future__ import annotations

from cnntrain.core.keys import flat, is_within


def test_a_tree_is_flattened_and_what_is_empty_stays() -> None:
    assert flat({"a": {"b": {"c": 1}, "d": {}}, "e": [1]}) == {"a.b.c": 1, "a.d": {}, "e": [1]}


def test_a_name_is_within_itself_and_what_is_above_it() -> None:
    assert is_within("optim.lr", ["data", "optim"]) and is_within("optim", ["optim"])
    assert not is_within("optimum.lr", ["optim"]) and not is_within("optim", ["optim.lr"]) and not is_within("a", [])
