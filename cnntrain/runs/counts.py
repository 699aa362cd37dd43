"""What a network answered to each image of an evaluation that judges pixels: from it every other figure follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cnntrain.core.errors import InputError
from cnntrain.runs import objects, predictions
from cnntrain.runs.objects import Objects
from cnntrain.runs.predictions import Predictions, array, column, opened, write_columns

COUNTS = "per_image.parquet"
KINDS = ("right", "there", "given")


@dataclass(frozen=True)
class Counts:
    """Attributes:
    ids: one name an image, as `Part.ids`.
    counts: int64 [n, 3, classes]: pixels that were rightly given a class, that have it, that were given it.
    losses: floating point [n].
    about: plain values, as `Predictions` has them.
    """

    ids: Sequence[str]
    counts: np.ndarray
    losses: np.ndarray
    classes: Sequence[str]
    about: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.counts)


def write(path: Path, found: Counts) -> None:
    """Write a Parquet file with the columns ``id loss right there given``, the last three with a number a class;
    classes and `about` are in its metadata.

    Raises:
        RunError: the disk is full or cannot be written.
    """
    kinds = {kind: column(found.counts[:, number]) for number, kind in enumerate(KINDS)}
    write_columns(path, found.ids, {"loss": column(found.losses), **kinds}, found.classes, found.about)


def read(path: Path) -> Counts:
    """What `write` wrote.

    Raises:
        InputError: the file is missing, damaged, or not of ours.
    """
    with opened(path) as (file, meta):
        table = file.read(["id", "loss", *KINDS])
        losses, *kinds = (array(table[name].combine_chunks()) for name in ("loss", *KINDS))
        counts, ids = np.stack(kinds, 1), table["id"].to_pylist()
    if counts.shape[1:] != (len(KINDS), len(meta["classes"])) or counts.dtype.kind not in "iu":
        raise InputError(f"{path} is damaged: its columns do not go with its {len(meta['classes'])} classes")
    return Counts(ids, counts, losses, meta["classes"], meta["about"])


Given = Predictions | Counts | Objects  # the answers of an evaluation


def leave(folder: Path, found: Given) -> None:
    """Write the answers of an evaluation into its folder.

    Raises:
        RunError: the disk is full or cannot be written.
    """
    if isinstance(found, Counts):
        write(folder / COUNTS, found)
    elif isinstance(found, Objects):
        objects.write(folder / COUNTS, found)
    else:
        predictions.write(folder / predictions.PREDICTIONS, found)


def has_left(folder: Path) -> bool:
    """Whether there are answers in a folder."""
    return any((folder / name).is_file() for name in (predictions.PREDICTIONS, COUNTS))


def left(folder: Path) -> Given | None:
    """The answers that `leave` wrote into a folder; None where there are none.

    Raises:
        InputError: their file is damaged, or not of ours.
    """
    path = folder / COUNTS
    if (folder / predictions.PREDICTIONS).is_file():
        return predictions.read(folder / predictions.PREDICTIONS)
    if not path.is_file():
        return None
    with opened(path) as (file, _):
        names = file.schema_arrow.names
    return objects.read(path) if objects.FIRST in names else read(path)
