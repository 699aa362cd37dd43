"""What does not answer as its network does is not written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from composing import composed

from cnntrain.config.check import check
from cnntrain.config.schema import TrainConfig
from cnntrain.core.errors import InputError, RunError
from cnntrain.export import exporting, parity
from cnntrain.export.parity import Proof
from cnntrain.tasks.base import Task

SAME = Proof("val", 100, "top1", 0.9, 0.9, [0.8, 0.95], 0, 1e-6, 100, "answers", "a probability", "images")


@pytest.fixture(scope="module")
def task() -> Task:
    return check(composed([]), TrainConfig).task


def test_a_difference_above_the_tolerance_is_refused(task: Task) -> None:
    parity.require(SAME, task, 1e-4, by_metric=False)
    for other in (replace(SAME, largest=2e-4), replace(SAME, largest=float("nan"))):
        with pytest.raises(RunError, match=r"does not answer as the run's own.*nothing was written"):
            parity.require(other, task, 1e-4, by_metric=False)


def test_of_8_bits_it_is_the_accuracy_that_counts(task: Task) -> None:
    parity.require(replace(SAME, exported=0.895, largest=0.3), task, 0.01, by_metric=True)
    parity.require(replace(SAME, exported=0.97, largest=0.3), task, 0.01, by_metric=True)  # it may be better
    with pytest.raises(RunError, match=r"loss of accuracy of 0\.02 is above tolerance=0\.01"):
        parity.require(replace(SAME, exported=0.88), task, 0.01, by_metric=True)


def test_a_folder_is_whole_or_not_there(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_text("written")
        raise RunError("not the same")

    with pytest.raises(RunError), exporting.new(tmp_path / "made") as folder:
        fail(folder)
    assert not list(tmp_path.iterdir())
    with exporting.new(tmp_path / "made") as folder:
        (folder / "whole").write_text("written")
    assert [each.name for each in tmp_path.rglob("*")] == ["made", "whole"]
    with pytest.raises(InputError, match="is there already"), exporting.new(tmp_path / "made"):
        pass
