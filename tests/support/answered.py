"""Folders of finished runs with the answers that they gave, without any training."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from cnntrain.runs import counts, folder, predictions
from cnntrain.runs.counts import Given
from cnntrain.runs.predictions import PREDICTIONS, Predictions
from cnntrain.tasks.base import Column
from cnntrain.tasks.classify import COLUMNS

CLASSES = ("ant", "bee", "cat")


def write_run(
    place: Path,
    right: Sequence[bool],
    part: str = "test",
    classes: Sequence[str] = CLASSES,
    order: Sequence[int] | None = None,
    fingerprint: str = "f",
    macs: int | None = 1000,
    **keys: Any,
) -> Path:
    """A run that answered rightly to such samples, the labels of which are always alike.

    Args:
        order: in which the samples were answered to.
        keys: dotted keys with ``__`` for the dot: ``optim__lr=0.1``.
    """
    place.mkdir(parents=True)
    tree: dict[str, Any] = {"seed": 0, "model": {"name": "lenet5"}, "optim": {"lr": 0.1}, "data": {"name": "fake"}}
    for key, value in keys.items():
        section, _, last = key.rpartition("__")
        (tree[section] if section else tree)[last] = value
    (place / folder.CONFIG).write_text(yaml.safe_dump(tree))
    (place / folder.METRICS).write_text(json.dumps({"epoch": 1, "val/top1": 0.5}) + "\n")
    ended = {
        "status": "finished",
        "best": {"epoch": 1},
        "test": {"top1": float(np.mean(right)), "count": len(right)},
        "task": {"name": "classify", "columns": [asdict(each) for each in COLUMNS]},
        "model": {"name": "lenet5", "params": 100, "macs": macs},
        "data": {"fingerprint": fingerprint},
        "command": f"cnntrain name={place.name}",
    }
    (place / folder.RESULT).write_text(json.dumps(ended))
    predictions.write(place / part / PREDICTIONS, answers(right, part, classes, order, fingerprint))
    return place


def judge_val_alone(place: Path) -> None:
    """Let a run of `write_run`'s kind, which was tested, have been validated alone, with the same answers."""
    (place / "test").rename(place / "val")
    ended = json.loads((place / folder.RESULT).read_text())
    values = {f"val/{name}": value for name, value in ended.pop("test").items()}
    ended |= {"test": None, "test_interval": None, "best": {"epoch": 1, **values}}
    (place / folder.RESULT).write_text(json.dumps(ended))


def answers(
    right: Sequence[bool],
    part: str = "test",
    classes: Sequence[str] = CLASSES,
    order: Sequence[int] | None = None,
    fingerprint: str = "f",
) -> Predictions:
    count = len(right)
    names = [CLASSES[number % len(CLASSES)] for number in range(count)]
    labels = np.array([list(classes).index(name) for name in names])
    guesses = np.where(right, labels, (labels + 1) % len(classes))
    rows = np.arange(count) if order is None else np.asarray(order)
    logits = np.eye(len(classes), dtype=np.float32)[guesses][rows]
    about = {"part": part, "fingerprint": fingerprint}
    ids = [f"{part}/{number}" for number in rows]
    return Predictions(ids, labels[rows], logits, np.ones(count, np.float32), classes, about)


def write_answers(
    place: Path,
    found: Given,
    columns: Sequence[Column],
    test: Mapping[str, float],
    interval: Mapping[str, Sequence[float]],
    **ended: Any,
) -> Path:
    """A run of another task that gave such answers to its test part.

    Args:
        ended: what else its result holds.
    """
    place.mkdir(parents=True)
    tree = {"seed": 0, "model": {"name": "fcn"}, "data": {"name": "scenes"}}
    (place / folder.CONFIG).write_text(yaml.safe_dump(tree))
    (place / folder.METRICS).write_text(json.dumps({"epoch": 1, "val/loss": 0.5}) + "\n")
    result = {
        "status": "finished",
        "best": {"epoch": 1},
        "test": {**test, "count": len(found)},
        "test_interval": dict(interval),
        "task": {"name": "segment", "columns": [asdict(each) for each in columns]},
        "model": {"name": "fcn", "params": 100, "macs": 1000},
        "data": {"classes": len(found.classes)},
        **ended,
    }
    (place / folder.RESULT).write_text(json.dumps(result))
    counts.leave(place / "test", found)
    return place
