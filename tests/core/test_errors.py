"""Errors of others, in a line."""

from __future__ import annotations

import pytest

from cnntrain.core.errors import first_line


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (RuntimeError("\n  no such operator\nTraceback"), "no such operator"),
        (KeyError("logits"), "'logits'"),
        (MemoryError(), "MemoryError"),
        (ValueError(" \n"), "ValueError"),
    ],
)
def test_an_error_is_told_in_a_line_though_it_says_nothing(error: Exception, line: str) -> None:
    assert first_line(error) == line
