"""What the end of a run says of it: an accuracy beside the majority's, nothing that is always right."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier

from cnntrain.core.console import console
from cnntrain.runs import closing
from cnntrain.tasks.base import Column, Task
from cnntrain.tasks.classify import COLUMNS, Classify


def shown(*what: Any) -> list[list[str]]:
    """The cells of each line of what is said."""
    text = io.StringIO()
    for each in what:
        console(file=text).print(each)
    return [line.replace("┃", "│").strip("│ ").split("│") for line in text.getvalue().splitlines()]


def result(val: float, count: int, majority: float | None, classes: int = 2) -> dict[str, Any]:
    values = {"top1": val, "top5": 1.0, "loss": 0.5}
    return {
        "status": "finished", "epochs": 2, "model": {"name": "lenet5"}, "test": {**values, "count": count},
        "test_interval": {"top1": [0.667, 0.986]},
        "best": {"epoch": 1, **{f"val/{name}": value for name, value in values.items()}},
        "val": {"count": count, "of": None},
        "this_command": {"seconds": 2.0, "seconds_to_first_step": 0.5},
        "train": {"seconds": 1.0, "images_per_second": 9.0, "data_wait": 0.0},
        "data": {"classes": classes, "majority": {"val": majority, "test": majority}},
    }  # fmt: skip


def test_an_accuracy_stands_beside_the_majoritys_and_what_is_always_right_is_not_shown() -> None:
    lines = [[cell.strip() for cell in line] for line in shown(*closing.summary(result(12 / 13, 13, 60 / 63), COLUMNS))]
    assert ["top-1", "majority", "loss", "images"] in lines
    assert ["test", "92.31% [66.7, 98.6]", "95.24%", "0.5000", "13"] in lines
    assert ["[low, high]: 95% intervals (Wilson)"] in lines
    assert lines[-1][0].startswith("note: a validation top-1 of 92.31% is no better than ")
    of_six = shown(*closing.summary(result(0.9, 900, 0.5, classes=6), COLUMNS))
    assert "top-5" in [cell.strip() for cell in of_six[2]] and not any(
        "note" in cell for line in of_six for cell in line
    )


@pytest.mark.parametrize(
    ("val", "count", "majority", "learned"),
    [
        (0.1111, 180, 0.1056, False),
        (0.15, 180, 0.1056, False),
        (0.16, 180, 0.1056, True),
        (0.05, 180, 0.1056, False),
        (0.98, 10_000, 0.95, True),
        (0.5, 2, 0.5, False),
        (0.0, 180, None, True),  # a task without a majority says nothing
    ],
)
def test_a_run_that_learned_nothing_that_shows_is_told_so(
    val: float, count: int, majority: float | None, learned: bool
) -> None:
    *_, last = closing.summary(result(val, count, majority), COLUMNS)
    assert str(last).startswith("note: ") is not learned


def test_a_task_without_a_majority_has_no_column_for_it() -> None:
    column = Column("error", "error", "error")
    row = {"name": "set", "part": "val"}
    found = {"model": "net", "epoch": 3, "checkpoint": "x", "classes": 9, "majority": None, "data": row, "count": 4}
    assert [cell.strip() for cell in shown(*closing.evaluation({**found, "error": 2.0}, [column]))[2]] == [
        "error", "images",
    ]  # fmt: skip
    assert Task("own").majority([0, 1]) is None


def test_the_majority_is_scikit_learns() -> None:
    labels = np.array([3, 1, 3, 0, 3, 1])
    judge = DummyClassifier(strategy="most_frequent").fit(labels[:, None], labels)
    assert Classify("classify", [], "cross_entropy", None).majority(labels) == pytest.approx(
        judge.score(labels[:, None], labels)
    )
