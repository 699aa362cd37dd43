"""Detections and the objects that they are, as COCO pairs them."""

from __future__ import annotations

import numpy as np
import pytest

from cnntrain.study.page.answered.pairs import paired
from cnntrain.tasks.detect import matching
from cnntrain.tasks.detect.precision import HALF
from cnntrain.tasks.detect.rows import IGNORED, KIND


def crowded(seed: int) -> np.ndarray:
    """20 images [rows, 7] with many detections near few objects of two classes, some of which are ignored."""
    draws, table = np.random.default_rng(seed), np.full((20, 16, 7), -1, np.float32)
    for rows in table:
        there, found = draws.integers(0, 5), draws.integers(0, 11)
        places = draws.integers(0, 20, (there, 2))
        rows[11 : 11 + there, 0] = np.where(draws.random(there) < 0.3, 2, 1)
        rows[11 : 11 + there, 1] = draws.integers(0, 2, there)
        rows[11 : 11 + there, 3:] = np.concatenate([places, places + draws.integers(8, 14, (there, 2))], 1)
        rows[:found, 0] = 0
        rows[:found, 1] = draws.integers(0, 2, found)
        rows[:found, 2] = draws.permutation(11)[:found] / 10
        if there:
            near = rows[11 + draws.integers(0, there, found), 3:]
            rows[:found, 3:] = near + draws.integers(-3, 4, (found, 1)) * [1, 1, 1, 1]
        else:
            rows[:found, 3:] = [0, 0, 9, 9]
    return table


@pytest.mark.parametrize("seed", range(4))
def test_they_are_those_of_pycocotools(seed: int) -> None:
    table = crowded(seed)
    kinds = set()
    for rows in table:
        own = paired(rows, 0.0)
        of_class = matching.matched(rows[None], 2)
        right = sum(int(each.right[HALF].sum()) for each in of_class)
        wrong = sum(int(each.wrong[HALF].sum()) for each in of_class)
        assert (int(own.right.sum()), int(own.wrong.sum())) == (right, wrong)
        assert int(own.found.sum()) == right
        assert int(own.missed.sum()) == sum(int(each.there.sum()) for each in of_class) - right
        kinds |= {(bool(r), bool(w)) for r, w in zip(own.right, own.wrong, strict=True)}
    assert len(kinds) == 3  # also such as count neither way


def test_only_those_of_a_score_are_paired() -> None:
    rows = np.array([[0, 0, 0.4, 0, 0, 10, 10], [0, 0, 0.6, 30, 30, 40, 40], [1, 0, 0, 0, 0, 10, 10]], np.float32)
    sure, all_of = paired(rows, 0.5), paired(rows, 0.3)
    assert (sure.wrong.tolist(), sure.missed.tolist()) == ([True], [True])
    assert (all_of.wrong.tolist(), all_of.right.tolist(), all_of.missed.tolist()) == (
        [True, False], [False, True], [False],
    )  # fmt: skip
    rows[2, KIND] = IGNORED
    assert not paired(rows, 0.3).missed.any() and paired(rows, 0.3).wrong.tolist() == [True, False]
    assert not len(paired(rows[:0], 0.5).detections)
