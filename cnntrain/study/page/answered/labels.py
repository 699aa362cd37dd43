"""A page's part on answers to samples as a whole: one label each, or any number of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np

from cnntrain.core.errors import InputError
from cnntrain.core.words import CELL, printable
from cnntrain.runs.predictions import Predictions
from cnntrain.study.evaluation.measures import refuse_nan
from cnntrain.study.page.answered.confusion import Answers, SeveralAnswers
from cnntrain.study.page.answered.section import NO_PICTURES, Section, had, left_out
from cnntrain.study.page.thumbnails import Album, Thumbnails

ID = 60  # characters of an image's name, whose ends are shown


@dataclass(frozen=True)
class Mistake:
    """An image of the gallery; `words` is how sure the answer was. `picture` and `overlay` are addresses of ours that
    hold the picture, empty where there is none."""

    id: str
    label: str
    answer: str
    words: str
    picture: str
    overlay: str
    position: int


@dataclass(frozen=True)
class OfLabels(Section):
    """Of any number of labels each.

    Attributes:
        rows: of classes, see `confusion.figures`.
        is_small, is_wide: see `Thumbnails`.
    """

    template: ClassVar[str] = "answered/labels.html"

    classes: int = 0
    rows: Sequence[Mapping[str, Any]] = ()
    gallery: Sequence[Mistake] = ()
    is_small: bool = False
    is_wide: bool = False


@dataclass(frozen=True)
class OfLabel(OfLabels):
    """Of one label each.

    Attributes:
        names: of the classes of a matrix.
        inlined: names, cells, samples and pictures.
    """

    template: ClassVar[str] = "answered/label.html"

    names: Sequence[str] = ()
    matrix: Sequence[Mapping[str, Any]] = ()
    pairs: Sequence[Mapping[str, Any]] = ()
    calibration: Sequence[Mapping[str, Any]] = ()


def section(found: Predictions, temperature: float | None, album: Album | None, looked_at: bool) -> Section:
    """What can be shown of answers.

    Args:
        looked_at: whether it is to be shown what the network looked at.
    """
    if found.labels.ndim == 2:
        return _of_several(SeveralAnswers(found), album)
    try:
        refuse_nan(found)
    except InputError as error:
        return Section(notes=[str(error)])
    return _of_one(Answers(found), temperature, album, looked_at)


def _of_one(answers: Answers, temperature: float | None, album: Album | None, looked_at: bool) -> OfLabel:
    found, gallery, cells = answers.found, answers.gallery(), answers.by_cell
    shown, notes = _opened(album, looked_at)
    notes += _filled(shown, gallery, answers.pictured(), answers.guesses)
    rows, chart = answers.calibrated(temperature)
    names = {each: printable(found.classes[each], CELL) for each in sorted({each for cell in cells for each in cell})}
    mistake = partial(_mistake, found, shown)
    return OfLabel(
        count=len(found),
        classes=len(found.classes),
        names=[printable(each, CELL) for each in found.classes] if answers.is_drawn else (),
        matrix=answers.matrix() if answers.is_drawn else (),
        pairs=[{**each, "names": (names[each["label"]], names[each["answer"]])} for each in answers.pairs()],
        rows=answers.classes(),
        calibration=rows,
        charts=[chart],
        gallery=[
            mistake(
                each,
                (found.classes[found.labels[each]], found.classes[answers.guesses[each]]),
                f"{answers.confidence[each]:.1%} sure",
            )
            for each in gallery
        ],
        inlined=_inlined(answers, names, cells, gallery, shown),
        notes=notes,
        is_small=shown is not None and shown.is_small,
        is_wide=shown is not None and shown.is_wide,
    )


def _inlined(
    answers: Answers,
    names: Mapping[int, str],
    cells: Mapping[tuple[int, int], Sequence[int]],
    gallery: Sequence[int],
    shown: Thumbnails | None,
) -> dict[str, Any]:
    """Of each cell how many images it has and those that are named; of these their name, how sure the answer was, and
    the picture; that of the gallery's stands there."""
    samples = {
        each: [printable(answers.found.ids[each], ID), f"{answers.confidence[each]:.1%}"]
        for members in cells.values()
        for each in members
    }
    pictures = shown.pictures if shown is not None else {}
    return {
        "names": names,
        "cells": {f"{a},{b}": [answers.counts[a, b], members] for (a, b), members in cells.items()},
        "samples": samples,
        "small": shown is not None and shown.is_small,
        "wide": shown is not None and shown.is_wide,
        "pictures": {each: uri for each, uri in pictures.items() if each not in set(gallery)},
    }


def _of_several(answers: SeveralAnswers, album: Album | None) -> OfLabels:
    found, gallery = answers.found, answers.gallery()
    shown, notes = _opened(album, looked_at=False)
    notes += _filled(shown, gallery, (), None)
    mistake = partial(_mistake, found, shown)
    return OfLabels(
        count=len(found),
        classes=len(found.classes),
        rows=answers.classes(),
        gallery=[mistake(each, answers.words(each), f"loss {found.losses[each]:.3g}") for each in gallery],
        notes=notes,
        is_small=shown is not None and shown.is_small,
        is_wide=shown is not None and shown.is_wide,
    )


def _opened(album: Album | None, looked_at: bool) -> tuple[Thumbnails | None, list[str]]:
    images, notes = had(album, lambda source: source.images(), NO_PICTURES)
    if album is None or images is None:
        return None, notes
    if not looked_at:
        return Thumbnails(album, images), notes
    overlay, notes = had(album, lambda source: source.overlay(), "what the network looked at is not shown")
    return Thumbnails(album, images, overlay), notes


def _filled(
    shown: Thumbnails | None, gallery: Sequence[int], others: Iterable[int], answers: np.ndarray | None
) -> list[str]:
    """Read the images to be shown; returns why some are not."""
    if shown is None:
        return []
    try:
        shown.add(gallery, answers)
        shown.add(others)
    except InputError as error:
        return [f"pictures are missing: {error}"]
    return left_out(shown.album)


def _mistake(found: Predictions, shown: Thumbnails | None, position: int, words: tuple[str, str], sure: str) -> Mistake:
    pictures, overlays = (shown.pictures, shown.overlays) if shown is not None else ({}, {})
    label, answer = (printable(each, CELL) for each in words)
    return Mistake(
        id=printable(found.ids[position], CELL),
        label=label,
        answer=answer,
        words=sure,
        picture=pictures.get(position, ""),
        overlay=overlays.get(position, ""),
        position=position,
    )
