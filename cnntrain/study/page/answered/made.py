"""A page's part on images that are made: sheets of the same random numbers, by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from cnntrain.core.words import printable
from cnntrain.runs.sheet import SHOWN
from cnntrain.study.page.answered.section import Section, left_out
from cnntrain.study.page.thumbnails import Album
from cnntrain.tasks.base import Column

SHEETS = 6
LARGEST = 560  # pixels a side of a sheet
EXACT = 300  # up to which it keeps every value


@dataclass(frozen=True)
class Sheet:
    """Of an epoch; `words` is what it was worth."""

    title: str
    words: str
    picture: str


@dataclass(frozen=True)
class OfMade(Section):
    """Attributes:
    measured: by what images are compared, in words.
    epochs: that have a sheet.
    """

    template: ClassVar[str] = "answered/made.html"

    measured: str = ""
    sheets: Sequence[Sheet] = ()
    epochs: int = 0


def section(
    sheets: Mapping[int, Path],
    column: Column,
    epochs: Mapping[int, Mapping[str, float]],
    best: int | None,
    task: Mapping[str, Any],
    album: Album | None,
) -> OfMade:
    """Args:
    sheets: by epoch.
    column: of the distance.
    epochs: metrics by epoch.
    task: the keys of its configuration.
    """
    shown = _chosen([*sheets], best)
    found, notes = list[Sheet](), list[str]()
    for epoch in album.room(shown) if album is not None else ():
        try:
            picture = album.kept(_opened(sheets[epoch]), LARGEST, EXACT) if album is not None else ""
        except (OSError, ValueError) as error:
            notes.append(f"a picture is missing: {sheets[epoch]}: {error}")
            continue
        value = epochs.get(epoch, {}).get(f"val/{column.name}")
        words = "" if value is None else f"{column.title} {column.text(value)} on val"
        found.append(Sheet(f"epoch {epoch}{', the best' if epoch == best else ''}", words, picture))
    return OfMade(
        count=SHOWN,
        measured=_measured(column, task),
        sheets=found,
        epochs=len(sheets),
        notes=[*notes, *left_out(album)],
    )


def _chosen(epochs: Sequence[int], best: int | None) -> list[int]:
    """The first, the last, the best, and as many between as there is room for, evenly."""
    if len(epochs) <= SHEETS:
        return list(epochs)
    count = SHEETS - (best in epochs)
    spread = {epochs[each] for each in np.linspace(0, len(epochs) - 1, count).round().astype(int).tolist()}
    return sorted(spread | ({best} if best in epochs else set()))  # type: ignore[arg-type]


def _opened(path: Path) -> np.ndarray:
    """uint8 [height, width] or [height, width, 3].

    Raises:
        OSError, ValueError: it is no picture.
    """
    with Image.open(path) as picture:
        return np.asarray(picture if picture.mode == "L" else picture.convert("RGB"))


def _measured(column: Column, task: Mapping[str, Any]) -> str:
    made = f"of {task['samples']:,} made images and those of a part" if "samples" in task else ""
    by = f"; features of {printable(str(task['features']))}" if task.get("features") else ""
    return f"{column.words}, {made}{by}: the less the better"
