"""Words in messages: what a user may have meant, and names in a row."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches


def suggest(word: str, candidates: Iterable[str], prefix: str = "") -> str:
    """``; did you mean 'x'?`` with the nearest of `candidates`, or nothing where none is near."""
    near = get_close_matches(word, sorted(candidates), n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(repr(prefix + each) for each in near)}?" if near else ""


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """The one that is nearest, where one is near."""
    return next(iter(get_close_matches(word, sorted(candidates), n=1)), None)


def similar(word: str, names: Iterable[str]) -> list[str]:
    """Of `names` the near ones, and those that start with `word` or that it starts with."""
    return [name for name in names if get_close_matches(word, [name], cutoff=0.6) or name.startswith(word)]


def is_text(word: str) -> bool:
    """Whether it can be written as UTF-8: bytes of a command line or of a file's name that are none cannot."""
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


def snake_case(name: str) -> str:
    """StampAlbum is stamp_album, VOCSegments is voc_segments."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def listed(names: Sequence[str], most: int = 5) -> str:
    """The first few names, quoted, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(repr(name) for name in names[:most]) + more
