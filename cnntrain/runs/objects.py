"""What a network found in each image of an evaluation beside what is there: from it every other figure follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cnntrain.core.errors import InputError
from cnntrain.runs.predictions import array, column, opened, write_columns
from cnntrain.tasks.detect.rows import BOX, CLASS, FOUND, IGNORED, KIND, NOTHING, OVERLAPS, SCORE, THERE

FIRST = "found_class"  # a column that no other answers have


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
        FIRST: lists(seen, CLASS, numbers),
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


def read(path: Path) -> Objects:
    """What `write` wrote; of each image the detections come first.

    Raises:
        InputError: the file is missing, damaged, or not of ours.
    """
    with opened(path) as (file, meta):
        table = file.read()
        columns = {name: table[name].combine_chunks() for name in table.column_names if name != "id"}
        rows, losses, ids = _rows(columns), array(columns["loss"]), table["id"].to_pylist()
    if rows[..., CLASS].max(initial=0) >= len(meta["classes"]):
        raise InputError(f"{path} is damaged: its columns do not go with its {len(meta['classes'])} classes")
    return Objects(ids, rows, losses, meta["classes"], meta["about"])


def _rows(columns: Mapping[str, Any]) -> np.ndarray:
    found, there = (_lengths(columns[f"{kind}_class"]) for kind in ("found", "there"))
    most = int(found.max(initial=0)), int(there.max(initial=0))
    seen, own = (np.arange(width) < lengths[:, None] for width, lengths in zip(most, (found, there), strict=True))
    overlaps = columns.get("found_overlaps")
    width, kind = (OVERLAPS, np.float32) if overlaps is None else (OVERLAPS + most[1], np.float64)
    rows = np.zeros((len(found), sum(most), width), kind)
    rows[..., KIND] = NOTHING
    detections, objects = rows[:, : most[0]], rows[:, most[0] :]
    detections[seen, KIND] = FOUND
    objects[own, KIND] = np.where(array(columns["there_ignored"].flatten()), IGNORED, THERE)
    detections[seen, SCORE] = array(columns["found_score"].flatten())
    for name, place in (("class", CLASS), ("box", BOX)):
        detections[seen, place] = array(columns[f"found_{name}"].flatten())
        objects[own, place] = array(columns[f"there_{name}"].flatten())
    if overlaps is not None:
        pairs = seen[:, :, None] & own[:, None]
        detections[..., OVERLAPS:][pairs] = array(overlaps.flatten().flatten())
    return rows


def _lengths(lists: Any) -> np.ndarray:
    """int64 [n], of an Arrow array of lists."""
    return np.diff(np.from_dlpack(lists.offsets)).astype(np.int64)
