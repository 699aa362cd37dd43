"""The folder of an evaluation: its figures, its answers, its pictures. None takes the place of another's."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from cnntrain.core import plain_json, tables
from cnntrain.core.files import write_atomic
from cnntrain.data.sets.dataset import Images
from cnntrain.runs.counts import Counts, Given, leave
from cnntrain.runs.objects import Objects
from cnntrain.runs.predictions import Predictions
from cnntrain.study.evaluation import objects, pixels
from cnntrain.study.evaluation.measures import confusion

EVALUATION = "eval.json"
IDENTITY = ("checkpoint", "of", "average", "tta", "epoch", "data", "preprocess")  # of what was judged on what


def place(stem: Path, result: Mapping[str, Any]) -> Path:
    """The folder of an evaluation: that of the same one before, or one that is not there yet."""
    paths = (stem.with_name(f"{stem.name}{f'-{number}' if number > 1 else ''}") for number in count(1))
    return next(path for path in paths if not path.exists() or _identity(read(path)) == _identity(result))


def read(folder: Path) -> dict[str, Any]:
    """The result in a folder, of a damaged one or none nothing."""
    try:
        return plain_json.read((folder / EVALUATION).read_bytes(), dict[str, Any])
    except (OSError, ValueError):
        return {}


def _identity(result: Mapping[str, Any]) -> list[Any]:
    """What tells one evaluation from another in the folder of a run, which may have been moved."""
    return [Path(str(result.get("checkpoint"))).name, *(result.get(key) for key in IDENTITY[1:])]


def write(folder: Path, result: Mapping[str, Any], answers: Given | None, images: Images | None) -> None:
    """Write ``eval.json``, ``predictions.parquet``, ``per_class.csv``, ``confusion.csv``; of answers for each pixel
    and of boxes ``per_image.parquet`` and ``per_class.csv``; of a network that answers to no image ``eval.json`` alone.

    Args:
        images: of the predictions; then ``confusion.png``, ``reliability.png`` and ``mistakes.png`` are drawn, too.

    Raises:
        RunError: the disk is full or cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if answers is not None:
        leave(folder, answers)
    if isinstance(answers, Counts):
        pixels.write_table(folder, result["per_class"])
    elif isinstance(answers, Objects):
        objects.write_table(folder, result["per_class"])
    elif answers is not None and answers.labels.ndim == 1:
        counts = _write_tables(folder, result, answers)
        if images is not None:
            _draw(folder, result, answers, images, counts)
    write_atomic(folder / EVALUATION, plain_json.text(result, indent=2).encode())


def _write_tables(folder: Path, result: Mapping[str, Any], predictions: Predictions) -> np.ndarray:
    names = list(predictions.classes)
    counts = confusion(predictions.labels, predictions.logits.argmax(1), len(names))
    matrix = tables.comma_separated(["label", *names], [[name, *row] for name, row in zip(names, counts, strict=True)])
    keys = ("name", "precision", "recall", "f1", "support")
    rows = tables.comma_separated(keys, [[each[key] for key in keys] for each in result["per_class"]])
    write_atomic(folder / "confusion.csv", matrix.encode())
    write_atomic(folder / "per_class.csv", rows.encode())
    return counts


def _draw(
    folder: Path, result: Mapping[str, Any], predictions: Predictions, images: Images, counts: np.ndarray
) -> None:
    from cnntrain.study.evaluation import pictures  # brings matplotlib in

    title = f"{result['model']} on {result['data']['name']} {result['data']['part']}: {result['top1']:.2%}"
    pictures.draw_confusion(folder / "confusion.png", counts, predictions.classes, title)
    pictures.draw_reliability(folder / "reliability.png", result["calibration"], title)
    (folder / "mistakes.png").unlink(missing_ok=True)
    pictures.draw_mistakes(folder / "mistakes.png", predictions, images, title)
