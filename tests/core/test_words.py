"""Text of others in lines of ours."""

from __future__ import annotations

import io
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cnntrain.core.words import HIDDEN, LINE, listed, printable, suggest, tell

LABEL = "x" * 100_000


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cat", "cat"),
        ("", ""),
        ("Käfer 象 🐛 a\\b é\u00a0x", "Käfer 象 🐛 a\\b é\u00a0x"),
        ("\x1b[2J", "\\x1b[2J"),
        ("a\nb\r\tc\0", "a\\nb\\r\\tc\\x00"),
        ("\u202egpj.exe\u2066", "\\u202egpj.exe\\u2066"),
        ("\u2028\x85\x9b31m\x7f", "\\u2028\\x85\\x9b31m\\x7f"),
        ("b\udcff", "b\\udcff"),  # a file's name that is no UTF-8
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_what_moves_the_cursor_or_turns_text_around_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown
    shown.encode()


def test_of_a_long_text_the_ends_are_left() -> None:
    text = "begin " + LABEL + " end"
    assert printable(text, 20) == "begin xxxx…xxxxx end"
    assert printable(text[:200]) == text[:200] and len(printable(text[:201])) == 200
    assert len(printable("\x1b" * 100_000)) == 200


@given(st.text(), st.integers(1, 40))
@example("\x1b" * 30, 25)
def test_printable_is_short_has_nothing_hidden_and_is_done_once(text: str, most: int) -> None:
    shown = printable(text, most)
    assert len(shown) <= most
    assert not {unicodedata.category(each) for each in shown} & HIDDEN
    assert printable(shown, most) == shown
    if not {unicodedata.category(each) for each in text} & HIDDEN and len(text) <= most:
        assert shown == text


def test_lines_are_told_as_they_are_laid_out() -> None:
    told = io.StringIO()
    tell(f"two ways out:\n  a: \x1b[2J\n  {LABEL}", told)
    first, second, third = told.getvalue().splitlines()
    assert (first, second, len(third)) == ("two ways out:", "  a: \\x1b[2J", LINE)


def test_names_in_messages_are_short() -> None:
    assert listed(["a", "\x1b[2J", LABEL])[:20] == r"'a', '\x1b[2J', 'xxx"
    assert len(listed([LABEL] * 9)) < 1100
    assert len(suggest("x" * 300, ["x" * 301])) < 200
