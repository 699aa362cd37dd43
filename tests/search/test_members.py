"""Which runs answer as one: by folder, by a sweep's table, by val."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from answered import answers, write_run

from cnntrain.core.errors import ConfigError, InputError
from cnntrain.runs import folder, history, predictions, swept
from cnntrain.runs.predictions import PREDICTIONS
from cnntrain.search import members

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """A run with such a value of val, and a test of which the best is the worst."""

    def run(name: str, value: float, metric: str = "val/top1", part: str = "val", status: str = "finished") -> Path:
        place = write_run(tmp_path / "runs" / name, [True] * 4)
        predictions.write(place / "val" / PREDICTIONS, answers([True] * 4, part))
        ended = json.loads((place / folder.RESULT).read_text())
        ended |= {"metric": metric, "best": {"epoch": 1, metric: value}, "test": {"top1": 1 - value}, "status": status}
        (place / folder.RESULT).write_text(json.dumps(ended))
        return place

    return run


def files(*runs: Path) -> list[Path]:
    return [each / "best.ckpt" for each in runs]


def test_the_best_are_those_of_val(write: Write, tmp_path: Path) -> None:
    a, b, c, d = write("a", 0.5), write("b", 0.7), write("c", 0.6), write("d", 0.7)
    write("e", 0.9, status="failed")
    where = [tmp_path / "runs"]
    assert members.checkpoints(where, True, False, None) == files(a, b, c, d)
    assert members.checkpoints(where, True, False, 3) == files(b, d, c)
    assert members.checkpoints([a, c, b], False, True, 2) == files(b, c)
    (b / "best.ckpt").touch()
    assert members.checkpoints([a, b / "best.ckpt"], True, False, None) == files(a, b)
    with pytest.raises(InputError, match=r"^best=5: there are only 4 finished runs$"):
        members.checkpoints(where, True, False, 5)


def test_of_a_loss_the_least_is_the_best(write: Write, tmp_path: Path) -> None:
    high, low = write("high", 0.9, "val/loss"), write("low", 0.1, "val/loss")
    assert members.best_of([high, low], 2) == [low, high]
    other = write("other", 0.5)
    with pytest.raises(InputError, match=f"{high} chose by val/loss and {other} by val/top1"):
        members.best_of([high, low, other], 2)


def test_a_sweeps_folder_has_the_runs_of_its_table(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = write("a", 0.5), write("b", 0.7)
    write("of-another-sweep", 0.9)
    sweep = tmp_path / "sweeps" / "today"
    sweep.mkdir(parents=True)
    jobs = [{"run_dir": "runs/a"}, {"run_dir": str(b)}, {"run_dir": None}]
    (sweep / swept.SWEEP).write_text(json.dumps({"jobs": jobs}))
    monkeypatch.chdir(tmp_path / "runs")  # not where the sweep was typed
    assert members.checkpoints([sweep], True, False, None) == files(a, b)
    assert [each.folder for each in history.read(str(sweep))[0]] == [a, b]  # what compare, plot and report read
    (sweep / swept.SWEEP).write_text(json.dumps({"jobs": [{"run_dir": "runs/gone"}]}))
    with pytest.raises(InputError, match=r"has the run runs/gone, which is not there"):
        members.checkpoints([sweep], True, False, None)


def test_what_cannot_be_put_together_is_refused(write: Write, tmp_path: Path) -> None:
    only = write("a", 0.5)
    for where in (only, tmp_path / "runs"):
        with pytest.raises(InputError, match=f"ensemble=true is of several runs, and {only} is one"):
            members.checkpoints([where], True, False, None)
    with pytest.raises(ConfigError, match=r"is a folder of 1 finished runs: give one of them, or add ensemble=true"):
        members.checkpoints([tmp_path / "runs"], False, False, None)
    fold = write("b", 0.5, part="other")
    with pytest.raises(InputError, match=f"{only} and {fold} were judged by other images of val"):
        members.best_of([only, fold], 2)
    begun = write("c", 0.5, status="stopped")
    with pytest.raises(InputError, match=f"{begun} is no finished run's folder"):
        members.best_of([only, begun], 2)
    (begun / folder.RESULT).unlink()
    (tmp_path / "begun").mkdir()
    begun.rename(tmp_path / "begun" / "c")
    with pytest.raises(InputError, match="has no finished run"):
        members.checkpoints([tmp_path / "begun"], True, False, None)
