"""A page's part on answers for each pixel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from cnntrain.core.targets import IGNORE
from cnntrain.core.words import CELL, printable
from cnntrain.runs.counts import Counts
from cnntrain.study.evaluation import palette, pixels
from cnntrain.study.page.answered.section import NO_PICTURES, Section, filled, had
from cnntrain.study.page.answered.worst import chosen, in_turn
from cnntrain.study.page.thumbnails import LARGE, Album, Masked
from cnntrain.tasks.segment import metrics, resampling

EXACT = 64  # pixels a side, up to which a picture keeps every value
NAMED = 6  # classes of a mask, in the words for who cannot see it


@dataclass(frozen=True)
class Painted:
    """An image, and its pictures with what is told of each: it, its mask, and the one that it was given; none where
    they are missing."""

    id: str
    words: str
    pictures: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class OfMasks(Section):
    """Attributes:
    rows: of classes, see `pixels.per_class`; also the ``precision``, and the ``colour`` of each.
    legend: classes of the masks that are shown, and their colours.
    is_small: whether browsers are to show the pictures' pixels as squares.
    """

    template: ClassVar[str] = "answered/masks.html"

    rows: Sequence[Mapping[str, Any]] = ()
    worst: Sequence[Painted] = ()
    typical: Sequence[Painted] = ()
    legend: Sequence[tuple[str, str]] = ()
    is_small: bool = False


def section(found: Counts, album: Album | None) -> OfMasks:
    figures = metrics.figures(found.counts)["miou"]
    worst, typical = chosen(-figures, found.losses)
    pictures = _Pictures(found.classes)
    notes = pictures.fill(album, found.ids, in_turn(worst, typical))
    colours = _colours(len(found.classes))

    def painted(position: int) -> Painted:
        id_, words = printable(found.ids[position], CELL), _words(found, figures, position)
        return Painted(id_, words, pictures.by_position.get(position, ()))

    return OfMasks(
        count=len(found),
        intervals=resampling.intervals(found.counts),
        rows=_rows(found, colours),
        worst=[painted(each) for each in worst],
        typical=[painted(each) for each in typical],
        legend=[(_name(found.classes, each), colours[min(each, len(found.classes))]) for each in sorted(pictures.seen)],
        is_small=pictures.is_small,
        notes=notes,
    )


def _rows(found: Counts, colours: Sequence[str]) -> list[dict[str, Any]]:
    right = found.counts[:, 0].sum(0).tolist()
    rows = zip(pixels.per_class(found), right, colours[:-1], strict=True)
    return [
        {**row, "precision": n / row["given"] if row["given"] else None, "colour": colour} for row, n, colour in rows
    ]


def _words(found: Counts, figures: np.ndarray, position: int) -> str:
    """With that class of its mask that is found least."""
    there, own = found.counts[position, 1] > 0, metrics.per_class(found.counts[position])
    if not there.any():
        return f"mIoU {figures[position]:.1%}"
    least = int(np.argmin(np.where(there, own, np.inf)))
    return f"mIoU {figures[position]:.1%}, least of {printable(found.classes[least], CELL)}: {own[least]:.1%}"


def _colours(classes: int) -> list[str]:
    """Of the classes, and of pixels that are of none."""
    table = [*palette.colours(classes).tolist(), list(palette.OF_NONE)]
    return ["#" + "".join(f"{value:02x}" for value in each) for each in table]


def _name(classes: Sequence[str], number: int) -> str:
    return "of no class: counts for nothing" if number == IGNORE else printable(classes[number], CELL)


@dataclass
class _Pictures:
    """Attributes:
    by_position: see `Painted.pictures`.
    seen: the classes that they have.
    """

    classes: Sequence[str]
    by_position: dict[int, Sequence[tuple[str, str]]] = field(default_factory=dict)
    seen: set[int] = field(default_factory=set)
    is_small: bool = True

    def fill(self, album: Album | None, ids: Sequence[str], positions: Sequence[int]) -> list[str]:
        """Take those of as many of the images as there is room for; returns why some are missing."""
        masks, notes = had(album, lambda source: source.masks(), NO_PICTURES)
        if album is None or masks is None:
            return notes

        def take(position: int) -> None:
            self.by_position[position] = self._of(masks(position), album, printable(ids[position], CELL))

        return filled(album, positions, take)

    def _of(self, found: Masked, album: Album, id_: str) -> Sequence[tuple[str, str]]:
        self.is_small &= max(found.there.shape) <= EXACT
        pictures = [(album.kept(found.image, LARGE, EXACT), id_)]
        for what, mask in (("its mask", found.there), ("the mask that it was given", found.given)):
            address = album.kept(palette.painted(mask, len(self.classes)), LARGE, flat=True)
            pictures.append((address, f"{what}: {self._shares(mask)}"))
        return pictures

    def _shares(self, mask: np.ndarray) -> str:
        """The classes of the most pixels, for who cannot see them."""
        numbers, counts = np.unique(mask, return_counts=True)
        self.seen.update(numbers.tolist())
        order = np.argsort(-counts, kind="stable")
        words = [f"{_name(self.classes, int(numbers[each]))} {counts[each] / mask.size:.1%}" for each in order[:NAMED]]
        return ", ".join([*words, *(["and others"] if len(order) > NAMED else [])])
