"""A page's part on objects in boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnntrain.core.extras import needed
from cnntrain.core.words import CELL, printable
from cnntrain.runs.objects import Objects
from cnntrain.study.evaluation import objects
from cnntrain.study.page import charts
from cnntrain.study.page.answered.pairs import Pairs, paired
from cnntrain.study.page.answered.section import NO_PICTURES, Section, filled, had
from cnntrain.study.page.answered.worst import chosen, in_turn
from cnntrain.study.page.charts import Chart
from cnntrain.study.page.thumbnails import LARGE, Album
from cnntrain.tasks.base import Column
from cnntrain.tasks.detect.rows import BOX, CLASS, FOUND, IGNORED, KIND, SCORE

SURE = 0.5  # score from which on a detection is drawn, and an error
EXACT = 64  # pixels a side, up to which a picture keeps every value
DRAWN = 60  # boxes of a picture, at most
LINES = 3  # classes that have a curve of their own
MOST = 20_000  # images times classes, up to which each class's precision is computed for a page


@dataclass(frozen=True)
class Box:
    """In pixels of what the network sees; `kind` is a name of the page's style."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    words: str


@dataclass(frozen=True)
class Drawn:
    """An image; `picture` is empty, and the boxes are none, where that is missing.

    Attributes:
        side: pixels a side of what the network sees.
    """

    id: str
    words: str
    picture: str = ""
    side: int = 0
    there: Sequence[Box] = ()
    given: Sequence[Box] = ()


@dataclass(frozen=True)
class OfBoxes(Section):
    """Attributes:
    rows: of classes, see `objects.per_class`.
    tally: how many objects are found, in words.
    """

    template: ClassVar[str] = "answered/boxes.html"

    rows: Sequence[Mapping[str, Any]] = ()
    tally: str = ""
    worst: Sequence[Drawn] = ()
    typical: Sequence[Drawn] = ()
    is_small: bool = False


def section(found: Objects, columns: Sequence[Column], album: Album | None) -> OfBoxes:
    """Args:
    columns: whose intervals are asked for.

    Raises:
        ConfigError: the package that judges boxes is not installed.
    """
    needed("a page with boxes", "pycocotools", "detect")
    from cnntrain.tasks.detect import resampling

    pairs = [paired(each, SURE) for each in found.rows]
    errors = np.array([int(each.wrong.sum() + each.missed.sum()) for each in pairs], float)
    worst, typical = chosen(errors, found.losses)
    rows, drawn, notes = _of_classes(found)
    pictures, missing = _pictures(album, in_turn(worst, typical))
    painted = {each: _drawn(found, pairs[each], each, pictures.get(each)) for each in (*worst, *typical)}
    return OfBoxes(
        count=len(found),
        intervals=resampling.intervals(found.rows, columns) if columns else {},
        charts=drawn,
        rows=rows,
        tally=_tally(pairs),
        worst=[painted[each] for each in worst],
        typical=[painted[each] for each in typical],
        is_small=all(side <= EXACT for _, side in pictures.values()),
        notes=[*notes, *missing],
    )


def _of_classes(found: Objects) -> tuple[list[dict[str, Any]], list[Chart], list[str]]:
    """Figures of classes, the curve of precision by recall, and what is left out."""
    if not found.rows.size:
        return [], [], []
    if len(found) * len(found.classes) > MOST:
        why = f"of {len(found):,} images and {len(found.classes):,} classes it takes too long for a page"
        return [], [], [f"the precision of each class is not shown: {why}; cnntrain eval writes it"]
    from cnntrain.tasks.detect import matching, precision

    matched = matching.matched(found.rows, len(found.classes))
    rows = objects.per_class(found, matched)
    known = [(row, precision.curve(each)) for row, each in zip(rows, matched, strict=True) if row["support"]]
    if not known:
        return rows, [], []
    whole = np.mean([values for _, values in known], 0)
    curves = [(f"all classes: {whole.mean():.1%}", whole.tolist())]
    if len(known) > 1:
        least = sorted(known, key=lambda each: each[0]["ap50"])[:LINES]
        curves += [(f"{printable(row['name'], CELL)}: {row['ap50']:.1%}", values.tolist()) for row, values in least]
    return rows, [charts.precision_by_recall("precision", precision.RECALLS.tolist(), curves)], []


def _tally(pairs: Sequence[Pairs]) -> str:
    found, missed, wrong = (sum(int(of.sum()) for of in each) for each in _counted(pairs))
    return (
        f"At a score from {SURE:.0%} on, and an overlap from 50% on, {found:,} of {found + missed:,} objects are found,"
        f" and {wrong:,} detections are none."
    )


def _counted(pairs: Sequence[Pairs]) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
    return [each.found for each in pairs], [each.missed for each in pairs], [each.wrong for each in pairs]


def _pictures(album: Album | None, positions: Sequence[int]) -> tuple[dict[int, tuple[str, int]], list[str]]:
    """Of as many images as there is room for the picture, and the side of what the network sees."""
    seen, notes = had(album, lambda source: source.seen(), NO_PICTURES)
    if album is None or seen is None:
        return {}, notes
    kept: dict[int, tuple[str, int]] = {}

    def take(position: int) -> None:
        pixels = seen(position)
        kept[position] = album.kept(pixels, LARGE, EXACT), len(pixels)

    return kept, filled(album, positions, take)


def _drawn(found: Objects, pairs: Pairs, position: int, picture: tuple[str, int] | None) -> Drawn:
    id_ = printable(found.ids[position], CELL)
    count = int((pairs.objects[:, KIND] != IGNORED).sum())
    words = f"{int(pairs.missed.sum())} of {count} missed, {int(pairs.wrong.sum())} wrong"
    if picture is None:
        return Drawn(id_, words)
    address, side = picture
    there = [
        _box(found, row, "ignored" if row[KIND] == IGNORED else "hit" if hit else "missed")
        for row, hit in zip(pairs.objects[:DRAWN], pairs.found, strict=False)
    ]
    given = [
        _box(found, row, "hit" if right else "wrong" if wrong else "ignored")
        for row, right, wrong in zip(pairs.detections[:DRAWN], pairs.right, pairs.wrong, strict=False)
    ]
    return Drawn(id_, words, address, side, there, given)


def _box(found: Objects, row: np.ndarray, kind: str) -> Box:
    left, top, right, bottom = (round(float(each), 1) for each in row[BOX])
    name = printable(found.classes[int(row[CLASS])], CELL)
    words = f"{name} {row[SCORE]:.0%}" if row[KIND] == FOUND else name
    return Box(left, top, round(right - left, 1), round(bottom - top, 1), kind, words)
