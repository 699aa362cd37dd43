"""What a network answered to each image of an evaluation that judges pixels: from it every other figure follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cnntrain.runs import objects, predictions
from cnntrain.runs.objects import Objects
from cnntrain.runs.predictions import Predictions, column, write_columns

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
