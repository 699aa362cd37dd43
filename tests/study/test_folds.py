"""A sweep over folds, by the command line: its table, its file, and what stands behind them."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import binomtest

from cnntrain.runs import folder as folders
from cnntrain.runs import predictions
from cnntrain.study import folds

SWEEP = (
    "data=digits", "data.folds=2", "trainer.device=cpu", "trainer.max_steps=2", "data.batch_size=64",
    "augment=none", "checkpoint.every_steps=null",
)  # fmt: skip


@pytest.fixture
def sweep(typed: Any, tmp_path: Path) -> tuple[str, dict[str, Any]]:
    """What it has printed, and the cross-validation in its file."""
    done = typed("-m", *SWEEP, "data.fold=0,1")
    assert done.returncode == 0, done.stderr
    path = Path(done.stdout.splitlines()[-1])
    assert path.name == "folds.json" and path.parent.parent == Path("outputs/sweeps")
    (found,) = json.loads(path.read_text())["cross_validations"]
    return done.stdout, found


def test_a_sweep_over_folds_ends_with_what_it_comes_to(sweep: Any, result_of: Any, typed: Any) -> None:
    said, found = sweep
    assert (found["folds"], found["missing"], found["differs"]) == (2, [], {})
    places = [Path(each["run_dir"]) for each in found["runs"]]
    results = [result_of(place) for place in places]
    assert [each["data"]["fold"] for each in results] == [0, 1] and not results[0]["data"]["balance"]
    for part, key in (("val", "best"), ("test", "test")):
        name = "val/top1" if part == "val" else "top1"
        values = [each[key][name] for each in results]
        written = found["metrics"][f"{part}/top1"]
        assert written["values"] == values
        assert written["mean"] == pytest.approx(statistics.mean(values))
        assert written["deviation"] == pytest.approx(statistics.stdev(values))
    answers = [predictions.read(place / "test" / predictions.PREDICTIONS) for place in places]
    right = sum(int((each.logits.argmax(1) == each.labels).sum()) for each in answers)
    assert len({id_ for each in answers for id_ in each.ids}) == found["pooled"]["count"] == 1797
    interval = binomtest(right, 1797).proportion_ci(0.95, method="wilson")
    assert found["pooled"]["top1"] == {"value": right / 1797, "interval": [interval.low, interval.high]}
    assert f"accuracy of the 1,797 test samples, each judged once: {right / 1797:.2%}" in said
    assert "2 of 2 folds" in said and "deviation" in said

    evaluated = typed("eval", f"run={places[1]}", "device=cpu", "pictures=false")
    assert evaluated.returncode == 0 and "are not those of the run" not in evaluated.stdout + evaluated.stderr
    assert answers[1].ids == predictions.read(Path(evaluated.stdout.splitlines()[-1]) / predictions.PREDICTIONS).ids

    def change(place: Path, folds: int | None, seed: int = 0) -> None:
        config = folders.config(place)
        folders.describe(place, {**config, "seed": seed, "data": {**config["data"], "folds": folds}}, [])

    for place in places:
        change(place, 3)
    (part,) = folds.validated([places[1], places[0], places[0]])
    assert part.missing == [2] and list(part.runs) == [0, 1]
    assert "no run has finished fold 2" in folds.shown(part) and "2 of 3 folds" in folds.shown(part)
    answers_of = places[1] / "test" / predictions.PREDICTIONS
    answers_of.write_bytes((places[0] / "test" / predictions.PREDICTIONS).read_bytes())
    (torn,) = folds.validated(places)
    assert torn.pooled() is None and "tested in several folds" in folds.shown(torn)
    assert folds.validated(places[:1]) == []
    change(places[1], 3, seed=7)
    assert folds.validated(places) == []
    for place in places:
        change(place, None)
    assert folds.validated(places) == []
