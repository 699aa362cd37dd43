"""Words in messages: what a user may have meant, names in a row, and text of others that is shown."""

from __future__ import annotations

import os
import re
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import TextIO

MOST, CELL, LINE = 200, 80, 2000  # characters: of a text within a line, of a name, of a line
HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # what moves the cursor, turns the text around or cannot be printed


def suggest(word: str, candidates: Iterable[str], prefix: str = "") -> str:
    """``; did you mean 'x'?`` with the nearest of `candidates`, or nothing where none is near."""
    near = get_close_matches(word, sorted(candidates), n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(printable(repr(prefix + each), CELL) for each in near)}?" if near else ""


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


def normalised(name: str) -> str:
    """A name as names are compared: composed (Unicode's NFC), without space around it. Nobody sees the difference."""
    return unicodedata.normalize("NFC", name).strip() or name


def listed(names: Sequence[str], most: int = 5) -> str:
    """The first few names, quoted, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(printable(repr(name)) for name in names[:most]) + more


def some_of(count: int, whole: int | None) -> str:
    """How many of how many; empty where there is no whole, all being taken."""
    return f"{count:,} of {whole:,}" if whole is not None else ""


def printable(text: str, most: int = MOST) -> str:
    """Text of a file, a folder or a configuration, as it can stand in a line of ours.

    Control and format characters (line breaks, terminal sequences, what turns the direction of text) are shown as
    escapes such as ``\\x1b``, and of a text longer than `most` characters the ends are left. What is printable stays as
    it is, so nothing is changed that went through here before.
    """
    ends = _ends(text, most)
    if ends.isprintable():
        return ends
    hidden = {each for each in set(ends) if unicodedata.category(each) in HIDDEN}
    return _ends("".join(_escaped(each) if each in hidden else each for each in ends), most)


def ending(name: str, most: int) -> str:
    """A name, or its last letters, by which those of files differ."""
    name = printable(name)
    return name if len(name) <= most else f"…{name[-most:]}"


def _ends(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    tail = (most - 1) // 2
    return f"{text[: most - 1 - tail]}…{text[len(text) - tail :]}"


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def tell(text: str, file: TextIO | None = None, end: str = "\n") -> None:
    """Print lines of ours with whatever is in them. Line breaks in `text` are layout: what may hold others goes through
    `printable` before it becomes a part of it."""
    try:
        print("\n".join(printable(line, LINE) for line in text.split("\n")), end=end, file=file, flush=True)
    except BrokenPipeError:
        if file not in (None, sys.stdout):
            raise
        close_output()


def close_output() -> None:
    """Nobody reads standard output any more (``| head``): what is still written to it is lost, and nothing fails."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
