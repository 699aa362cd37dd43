from __future__ import annotations

import pickle
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnntrain.core.strings import Strings

ANY = st.lists(st.text(st.characters(), max_size=6), max_size=12)  # surrogates included: names that are no text


@given(ANY, st.data())
def test_as_a_list_of_the_same(words: list[str], data: st.DataObject) -> None:
    found = Strings.of(iter(words))
    assert list(found) == words and found == words and len(found) == len(words)
    assert [found[i] for i in range(-len(words), len(words))] == words + words
    index = data.draw(st.lists(st.integers(0, len(words) - 1), max_size=9)) if words else []
    assert found.take(np.array(index, dtype=np.int64)) == [words[i] for i in index]
    assert found[1:-1:2] == words[1:-1:2] and found != [*words, "x"]
    assert pickle.loads(pickle.dumps(found)) == words and Strings.of(found) is found


def test_beyond_its_ends_is_an_error() -> None:
    found = Strings.of(["a", "b"])
    for position in (2, -3):
        with pytest.raises(IndexError):
            found[position]
    assert (found == 3) is False and (Strings.of(["a"]) == "a") is False
    assert repr(Strings.of(["a"] * 5)) == "Strings(['a', 'a', 'a'] and 2 more)"


def test_takes_little_more_than_its_bytes() -> None:
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        found = Strings.of(f"{number:030}" for number in range(10_000))
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert len(found) == 10_000 and taken < 10_000 * (30 + 8 + 4) + 10_000  # as objects: 79 and 8 each
