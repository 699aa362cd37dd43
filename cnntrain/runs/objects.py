"""What a network found in each image of an evaluation beside what is there: from it every other figure follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cnntrain.runs.predictions import column, write_columns
from cnntrain.tasks.detect.rows import BOX, CLASS, FOUND, IGNORED, KIND, OVERLAPS, SCORE, THERE


@dataclass(frozen=True)
class Objects:
    """Attributes:
    ids: one name an image, as `Part.ids`.
    rows: float32 or float64 [n, rows, columns]: see `tasks.detect.rows`.
    losses: floating point [n].
    about: plain values, as `Predictions` has them.
    """

    ids: Sequence[str]
    rows: np.ndarray
    losses: np.ndarray
    classes: Sequence[str]
    about: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.rows)


def write(path: Path, found: Objects) -> None:
    """Write a Parquet file with the columns ``id loss found_class found_score found_box there_class there_box
    there_ignored``, all but the first two lists with a value for each detection or object, a box being left, top, right
    and bottom in pixels of what the network sees; where masks are judged also ``found_overlaps``, of a detection's with
    each object's; classes and `about` are in its metadata.

    Raises:
        RunError: the disk is full or cannot be written.
    """
    import pyarrow as pa

    kinds = found.rows[..., KIND]
    seen, there = kinds == FOUND, np.isin(kinds, (THERE, IGNORED))
    numbers, flags, values = pa.list_(pa.int32()), pa.list_(pa.bool_()), pa.list_(pa.float32())
    boxes = pa.list_(pa.list_(pa.float32(), 4))

    def lists(which: np.ndarray, what: Any, kind: Any) -> Any:
        return pa.array(
            [rows[chosen][..., what].tolist() for rows, chosen in zip(found.rows, which, strict=True)], kind
        )

    def ignored(rows: np.ndarray) -> list[bool]:
        kept: list[bool] = (rows[:, KIND] == IGNORED).tolist()
        return kept

    columns = {
        "loss": column(found.losses),
        "found_class": lists(seen, CLASS, numbers),
        "found_score": lists(seen, SCORE, values),
        "found_box": lists(seen, BOX, boxes),
        "there_class": lists(there, CLASS, numbers),
        "there_box": lists(there, BOX, boxes),
        "there_ignored": pa.array(
            [ignored(rows[chosen]) for rows, chosen in zip(found.rows, there, strict=True)], flags
        ),
    }
    if found.rows.shape[2] > OVERLAPS:
        columns["found_overlaps"] = _overlaps(found.rows, seen, there)
    write_columns(path, found.ids, columns, found.classes, found.about)


def _overlaps(table: np.ndarray, seen: np.ndarray, there: np.ndarray) -> Any:
    """Of each image's detections with its objects."""
    import pyarrow as pa

    most = table.shape[2] - OVERLAPS
    found = []
    for rows, one, other in zip(table, seen, there, strict=True):
        objects = OVERLAPS + np.flatnonzero(other[-most:])
        found.append(rows[one][:, objects].tolist())
    return pa.array(found, pa.list_(pa.list_(pa.float64())))
