"""Figures and pictures of an evaluation that judges pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cnntrain.core import tables
from cnntrain.core.files import write_atomic
from cnntrain.runs.counts import Counts
from cnntrain.tasks.segment import metrics, resampling

PER_CLASS = ("name", "iou", "accuracy", "support", "given")


def per_class(found: Counts) -> list[dict[str, Any]]:
    """Of each class its ``name``, intersection over union (``iou``, with its ``interval``), ``accuracy``, and how many
    pixels have it (``support``) and were ``given`` it; None where there are none."""
    counts = found.counts.sum(0)
    right, there, given = counts.tolist()
    intervals = resampling.of_classes(found.counts) if len(found) else [None] * len(found.classes)
    rows = zip(found.classes, metrics.per_class(counts).tolist(), right, there, given, intervals, strict=True)
    return [
        {
            "name": name,
            "iou": iou if n + m else None,
            "interval": interval,
            "accuracy": k / n if n else None,
            "support": n,
            "given": m,
        }
        for name, iou, k, n, m, interval in rows
    ]


def write_table(folder: Path, rows: list[dict[str, Any]]) -> None:
    """Write ``per_class.csv``."""
    text = tables.comma_separated(PER_CLASS, [[each[key] for key in PER_CLASS] for each in rows])
    write_atomic(folder / "per_class.csv", text.encode())
