"""Answers for each pixel and in boxes, written and read again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cnntrain.core.errors import InputError
from cnntrain.runs import counts, objects, predictions
from cnntrain.runs.counts import COUNTS, Counts
from cnntrain.runs.objects import Objects
from cnntrain.runs.predictions import Predictions
from cnntrain.tasks.detect import FIRST, FURTHER
from cnntrain.tasks.detect.metrics import resampled

CLASSES = ["ant", "bee", "cat"]


def boxes(masks: bool, seed: int = 0) -> Objects:
    """Of 12 images, of which the first has no detection and the second no object; some are ignored."""
    draws, detections, most = np.random.default_rng(seed), 9, 4
    rows = np.zeros((12, detections + most, 7 + most * masks), np.float64 if masks else np.float32)
    rows[..., 0] = -1
    for image in range(12):
        found, there = draws.integers(1, detections), draws.integers(1, most + 1)
        found, there = found * (image != 0), there * (image != 1)
        rows[image, detections : detections + there, 0] = np.where(draws.random(there) < 0.2, 2, 1)
        rows[image, detections : detections + there, 1] = draws.integers(0, 3, there)
        places = draws.random((there, 2)).astype(np.float32) * 30
        rows[image, detections : detections + there, 3:7] = np.concatenate([places, places + 12], 1)
        near = draws.integers(0, there, found) if there else np.zeros(found, int)
        rows[image, :found, 0] = 0
        rows[image, :found, 1] = rows[image, detections + near, 1]
        rows[image, :found, 2] = -np.sort(-draws.random(found).astype(np.float32))
        rows[image, :found, 3:7] = rows[image, detections + near, 3:7] + draws.normal(0, 2, (found, 4)).astype("f")
        if masks:
            rows[image, :found, 7 : 7 + there] = draws.random((found, there))
    return Objects([f"{each}.png" for each in range(12)], rows, draws.random(12).astype("f"), CLASSES, {"part": "test"})


@pytest.mark.parametrize("masks", [False, True])
def test_every_figure_follows_from_boxes_that_are_read_again(tmp_path: Path, masks: bool) -> None:
    found = boxes(masks)
    counts.leave(tmp_path, found)
    again = counts.left(tmp_path)
    assert isinstance(again, Objects) and again.rows.dtype == found.rows.dtype
    assert (again.ids, again.classes, again.about) == (found.ids, found.classes, found.about)
    columns = (*FIRST, *(each for name, each in FURTHER.items() if masks or not name.startswith("mask_")))
    draws = np.random.default_rng(1).multinomial(12, np.full(12, 1 / 12), 20).astype(float)
    one, other = (resampled(each.rows, columns, draws) for each in (found, again))
    assert 0.05 < one["map50"].mean() < 0.95
    assert all(np.array_equal(one[name], other[name], equal_nan=True) for name in one)


def test_counts_are_read_as_they_were(tmp_path: Path) -> None:
    draws = np.random.default_rng(0)
    found = Counts(["a", "b"], draws.integers(0, 99, (2, 3, 3)), draws.random(2).astype("f"), CLASSES, {"epoch": 3})
    counts.leave(tmp_path, found)
    again = counts.left(tmp_path)
    assert isinstance(again, Counts) and np.array_equal(again.counts, found.counts)
    assert np.array_equal(again.losses, found.losses) and again.about == {"epoch": 3}


def test_what_kind_a_folder_has_is_told_by_its_files(tmp_path: Path) -> None:
    assert counts.left(tmp_path) is None and not counts.has_left(tmp_path)
    logits = np.zeros((1, 3), np.float32)
    counts.leave(tmp_path, Predictions(["a"], np.array([0]), logits, np.zeros(1, "f"), CLASSES, {}))
    assert isinstance(counts.left(tmp_path), Predictions) and counts.has_left(tmp_path)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / COUNTS
    with pytest.raises(InputError, match=r"per_image\.parquet does not exist: cnntrain eval writes per_image"):
        objects.read(path)
    path.write_bytes(b"PAR1 no")
    with pytest.raises(InputError, match=r"per_image\.parquet is damaged"):
        counts.left(tmp_path)
    found = boxes(False)
    for wrong in (found, Counts(["a"], np.zeros((1, 3, 3), np.int64), np.zeros(1, "f"), CLASSES, {})):
        counts.leave(tmp_path, wrong)
        name = "objects" if isinstance(wrong, Counts) else "counts"
        with pytest.raises(InputError, match=r"per_image\.parquet is damaged, or none of cnntrain's"):
            (objects if name == "objects" else counts).read(path)
    predictions.write_columns(
        path, ["a"], {"loss": predictions.column(np.zeros(1))} | {
            kind: predictions.column(np.zeros((1, 3), np.int64)) for kind in counts.KINDS
        }, CLASSES[:2], {},
    )  # fmt: skip
    with pytest.raises(InputError, match="do not go with its 2 classes"):
        counts.read(path)
