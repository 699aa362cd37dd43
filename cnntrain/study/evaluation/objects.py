"""Figures of an evaluation that finds objects."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cnntrain.core import bootstrap, tables
from cnntrain.core.files import write_atomic
from cnntrain.runs.objects import Objects

if TYPE_CHECKING:
    from cnntrain.tasks.detect.matching import Matched

PER_CLASS = ("name", "ap", "ap50", "support", "given")


def per_class(found: Objects, matched: Sequence[Matched] | None = None) -> list[dict[str, Any]]:
    """Of each class its ``name``, average precision (``ap``, with its ``interval``), that at an overlap of 50%
    (``ap50``), how many objects are there (``support``), and how many detections were ``given``; None without objects.

    Args:
        matched: see `matching.matched`; None: it is found.
    """
    if not len(found):
        return []
    from cnntrain.tasks.detect import matching, precision  # which need an extra

    once, drawn = np.ones((1, len(found))), bootstrap.times(len(found))
    rows = []
    of_class = matching.matched(found.rows, len(found.classes)) if matched is None else matched
    for name, each in zip(found.classes, of_class, strict=True):
        values, support = precision.averages(each, once)[0], int(each.there.sum())
        rows.append(
            {
                "name": name,
                "ap": float(values.mean()) if support else None,
                "interval": bootstrap.within(precision.averages(each, drawn).mean(1)),
                "ap50": float(values[precision.HALF]) if support else None,
                "support": support,
                "given": len(each.images),
            }
        )
    return rows


def write_table(folder: Path, rows: list[dict[str, Any]]) -> None:
    """Write ``per_class.csv``."""
    text = tables.comma_separated(PER_CLASS, [[each[key] for key in PER_CLASS] for each in rows])
    write_atomic(folder / "per_class.csv", text.encode())
