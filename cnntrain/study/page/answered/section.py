"""The part of a page that shows what a network answered: what all kinds of answers have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

from cnntrain.core.errors import InputError, UserError
from cnntrain.study.page.charts import Chart
from cnntrain.study.page.thumbnails import Album, Source

T = TypeVar("T")


@dataclass(frozen=True)
class Section:
    """What a template shows of answers; a subclass a kind of answers, with a template of its own.

    Attributes:
        count: samples that there are answers to.
        intervals: of columns, where they are found from the answers.
        inlined: for the page's script.
        notes: what is not shown, and why.
    """

    template: ClassVar[str] = "answered/nothing.html"

    count: int = 0
    charts: Sequence[Chart] = ()
    intervals: Mapping[str, Sequence[float]] = field(default_factory=dict)
    inlined: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()


def had(album: Album | None, read: Callable[[Source], T], without: str) -> tuple[T | None, list[str]]:
    """What is read for an album's pictures; None where there is no album, or where it cannot be read, and a line on
    what is missing then."""
    if album is None:
        return None, []
    try:
        return read(album.source), []
    except UserError as error:
        return None, [f"{without}: {error}"]


def filled(album: Album, positions: Iterable[int], take: Callable[[int], None]) -> list[str]:
    """Take the pictures of as many positions as there is room for; returns why some are missing."""
    try:
        for position in album.room(positions):
            take(position)
    except InputError as error:
        return [f"pictures are missing: {error}"]
    return left_out(album)


def left_out(album: Album | None) -> list[str]:
    """A line on pictures that an album has no room for."""
    if album is None or not album.is_full:
        return []
    return ["some pictures are left out: the page would have become too large, or taken too long"]


NO_PICTURES = "there are no pictures, since the images cannot be read"
