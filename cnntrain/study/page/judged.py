"""The part of a page that shows what a network answered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cnntrain.core.errors import InputError
from cnntrain.core.words import CELL, printable
from cnntrain.runs.predictions import Predictions
from cnntrain.study.evaluation.measures import refuse_nan
from cnntrain.study.page.answers import Answers, SeveralAnswers
from cnntrain.study.page.charts import Chart
from cnntrain.study.page.thumbnails import Album

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
class Judged:
    """What the template shows of the answers.

    Attributes:
        several: whether an image has any number of labels.
        names: of the classes of a matrix.
        rows: of classes, see `answers.figures`.
        inlined: for the page's script: names, cells, samples and pictures.
        notes: what is not shown, and why.
    """

    count: int = 0
    classes: int = 0
    several: bool = False
    names: Sequence[str] = ()
    matrix: Sequence[Mapping[str, Any]] = ()
    pairs: Sequence[Mapping[str, Any]] = ()
    rows: Sequence[Mapping[str, Any]] = ()
    calibration: Sequence[Mapping[str, Any]] = ()
    charts: Sequence[Chart] = ()
    gallery: Sequence[Mistake] = ()
    inlined: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()


def judged(found: Predictions | None, temperature: float | None, album: Album | None) -> Judged:
    """What can be shown of answers."""
    if found is None or not len(found):
        return Judged(notes=["there are no answers to images yet: a finished run has them"])
    if found.labels.ndim == 2:
        return _of_several(SeveralAnswers(found), album)
    try:
        refuse_nan(found)
    except InputError as error:
        return Judged(notes=[str(error)])
    return _of_one(Answers(found), temperature, album)


def _of_one(answers: Answers, temperature: float | None, album: Album | None) -> Judged:
    found, gallery, cells = answers.found, answers.gallery(), answers.by_cell
    notes = _fill(album, gallery, answers.pictured(), answers.guesses)
    rows, chart = answers.calibrated(temperature)
    names = {each: printable(found.classes[each], CELL) for each in sorted({each for cell in cells for each in cell})}
    return Judged(
        count=len(found),
        classes=len(found.classes),
        names=[printable(each, CELL) for each in found.classes] if answers.is_drawn else (),
        matrix=answers.matrix() if answers.is_drawn else (),
        pairs=[{**each, "names": (names[each["label"]], names[each["answer"]])} for each in answers.pairs()],
        rows=answers.classes(),
        calibration=rows,
        charts=[chart],
        gallery=[
            _mistake(
                answers.found,
                each,
                (found.classes[found.labels[each]], found.classes[answers.guesses[each]]),
                f"{answers.confidence[each]:.1%} sure",
                album,
            )
            for each in gallery
        ],
        inlined=_inlined(answers, names, cells, gallery, album),
        notes=notes,
    )


def _inlined(
    answers: Answers,
    names: Mapping[int, str],
    cells: Mapping[tuple[int, int], Sequence[int]],
    gallery: Sequence[int],
    album: Album | None,
) -> dict[str, Any]:
    """Of each cell how many images it has and those that are named; of these their name, how sure the answer was, and
    the picture; that of the gallery's stands there."""
    samples = {
        each: [printable(answers.found.ids[each], ID), f"{answers.confidence[each]:.1%}"]
        for members in cells.values()
        for each in members
    }
    pictures = album.pictures if album is not None else {}
    return {
        "names": names,
        "cells": {f"{a},{b}": [answers.counts[a, b], members] for (a, b), members in cells.items()},
        "samples": samples,
        "small": album is not None and album.is_small,
        "pictures": {each: uri for each, uri in pictures.items() if each not in set(gallery)},
    }


def _of_several(answers: SeveralAnswers, album: Album | None) -> Judged:
    found, gallery = answers.found, answers.gallery()
    notes = _fill(album, gallery, (), None)
    return Judged(
        count=len(found),
        classes=len(found.classes),
        several=True,
        rows=answers.classes(),
        gallery=[
            _mistake(found, each, answers.words(each), f"loss {found.losses[each]:.3g}", album) for each in gallery
        ],
        notes=notes,
    )


def _fill(album: Album | None, gallery: Sequence[int], others: Iterable[int], answers: np.ndarray | None) -> list[str]:
    """Read the images to be shown; returns why some are not."""
    if album is None:
        return []
    try:
        album.add(gallery, answers)
        album.add(others)
    except InputError as error:
        return [f"pictures are missing: {error}"]
    return (
        ["some pictures are left out: the page would have become too large, or taken too long"] if album.is_full else []
    )


def _mistake(found: Predictions, position: int, words: tuple[str, str], sure: str, album: Album | None) -> Mistake:
    pictures, overlays = (album.pictures, album.overlays) if album is not None else ({}, {})
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
