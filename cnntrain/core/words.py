"""What a user may have meant."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches


def suggest(word: str, candidates: Sequence[str] | set[str] | frozenset[str], prefix: str = "") -> str:
    """``; did you mean 'x'?`` with the nearest of `candidates`, or nothing where none is near."""
    near = get_close_matches(word, sorted(candidates), n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(repr(prefix + each) for each in near)}?" if near else ""
