"""Sweeps by the command line: their table, what the same command does again, a failure, a signal, and what it costs."""

from __future__ import annotations

import csv
import json
import os
import signal
import statistics
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from omegaconf import OmegaConf
from scipy.stats import t as student

from cnntrain.commands.train import Train
from cnntrain.config.schema import Ended
from cnntrain.core import plain_json
from cnntrain.core.errors import RunError
from cnntrain.runs import folder as folders
from cnntrain.search import jobs, sweep
from cnntrain.tasks.classify import COLUMNS

SWEEP = ("-m", "data=fake", "model=lenet5", "optim.lr=0.1,0.01", "seed=range(2)")
FEW = (*SWEEP[:3], "optim.lr=0.1", "seed=range(2)")


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, int]]:
    """Runs that leave what runs leave and train nothing: their value is a tenth of the seed and the rate. What they are
    called with is noted; where `failing` or `stopping` are set, the run of those does."""
    tried: list[tuple[float, int]] = []

    def execute(self: Train, typed: Any, prune: Any = None) -> Ended:
        tried.append((self.optim.lr, self.seed))
        place = (
            Path(self.resume) if self.resume else folders.create(Path("outputs/x"), lambda each: describe(self, each))
        )
        if (self.optim.lr, self.seed) == (0.1, 1) and os.environ.get("FAIL"):
            raise RunError("the disk is full")
        value = self.optim.lr + self.seed / 10
        task = {"columns": [vars(each) for each in COLUMNS]}
        result = {"status": "finished", "epochs": 2, "metric": "val/top1", "best": {"epoch": 1, "val/top1": value},
                  "task": task, "data": {}}  # fmt: skip
        (place / "result.json").write_text(plain_json.text(result))
        return Ended(made=str(place))

    def describe(config: Train, place: Path) -> None:
        from dataclasses import asdict

        folders.describe(place, {**asdict(config), "resume": None}, [])

    monkeypatch.setattr(Train, "execute", execute)
    return tried


def written(tmp_path: Path) -> dict[str, Any]:
    (file,) = tmp_path.glob("outputs/sweeps/*/sweep.json")
    return json.loads(file.read_text())


def test_a_sweep_ends_with_a_table_over_seeds(typed: Any, trained: Any, tmp_path: Path) -> None:
    done = typed(*SWEEP)
    assert done.returncode == 0, done.stderr
    found = written(tmp_path)
    (table,) = found["tables"]
    assert table["metric"] == "val/top1" and found["status"] == "finished"
    for row, rate in zip(table["configurations"], (0.1, 0.01), strict=True):
        values = [rate + seed / 10 for seed in range(2)]
        low, high = student.interval(0.95, 1, statistics.fmean(values), statistics.stdev(values) / 2**0.5)
        assert row["differs"] == {"optim.lr": str(rate)} and row["values"] == values
        assert (row["mean"], row["deviation"]) == (statistics.fmean(values), statistics.stdev(values))
        assert row["interval"] == pytest.approx([low, high])
    assert [each["best"] for each in table["configurations"]] == [True, False]
    best = next(line for line in done.stdout.splitlines() if line.endswith("best"))
    assert best.split() == ["0.1", "2", "15.00%", "7.07%", "[-48.53%,", "78.53%]", "best"]
    (file,) = tmp_path.glob("outputs/sweeps/*/sweep.csv")
    rows = list(csv.DictReader(file.read_text().splitlines()))
    assert [(each["optim.lr"], each["seed"], float(each["value"])) for each in rows] == [
        (str(rate), str(seed), rate + seed / 10) for rate in (0.1, 0.01) for seed in range(2)
    ]


def test_the_same_command_again_trains_nothing_and_says_the_same(typed: Any, trained: Any, tmp_path: Path) -> None:
    first, before = typed(*FEW), written(tmp_path)
    again = typed(*FEW)
    assert len(trained) == 2 and "2 have finished before" in again.stdout and "2 have" not in first.stdout
    assert written(tmp_path) == before
    (made,) = {Path(each["run_dir"]) for each in before["jobs"] if each["differs"] == {"seed": "1"}}
    (made / "result.json").unlink()  # as a run that was begun
    assert typed(*FEW).stdout.count("resume: ") == 1
    assert trained[2:] == [(0.1, 1)] and written(tmp_path)["tables"] == before["tables"]
    os.utime(made / "config.yaml")  # as one that was resumed with other keys: what it is now is looked at
    assert typed(*FEW).stdout.count("this run has finished") == 1 and len(trained) == 3
    assert typed(*FEW, "resume=null").returncode == 0 and len(trained) == 5


def test_runs_of_an_earlier_version_are_taken_over(typed: Any, trained: Any, tmp_path: Path) -> None:
    typed(*FEW)
    before = written(tmp_path)
    for each in before["jobs"]:
        file = Path(each["run_dir"]) / "config.yaml"
        tree = yaml.safe_load(file.read_text())
        del tree["trainer"]["watch"], tree["report"]
        file.write_text(yaml.safe_dump(tree))
    done = typed(*FEW)
    assert done.stdout.count("this run has finished") == 2 and len(trained) == 2
    assert written(tmp_path)["tables"] == before["tables"]


def test_a_job_is_another_where_the_file_that_it_reads_has_changed(typed: Any, trained: Any, tmp_path: Path) -> None:
    layer = {"height": 3, "width": 3, "filters": 8, "stride": 1, "inputs": []}
    write = lambda name, filters: (tmp_path / name).write_text(  # noqa: E731
        json.dumps({"space": "chain", "layers": [{**layer, "filters": filters}]})
    )
    write("a.json", 8), write("b.json", 16)
    one = ("-m", "data=fake", "model=found", "model.genotype=a.json", "seed=0,1")
    both = (*one[:3], "model.genotype=a.json,b.json")
    for words in (one, both):
        trained.clear()
        typed(*words), typed(*words)
        assert len(trained) == (2 if words == one else 1)  # seed 0 of a.json is there already
    write("a.json", 24)
    trained.clear()
    typed(*both)
    assert len(trained) == 1
    typed(*one)
    assert len(trained) == 2


@pytest.mark.slow
def test_a_larger_sweep_takes_over_the_runs_of_a_smaller_one(typed: Any, trained: Any) -> None:
    typed(*FEW[:-1], "seed=1")
    trained.clear()
    assert typed(*FEW).returncode == 0
    assert trained == [(0.1, 0)]


def test_a_job_that_fails_is_in_the_table_and_stops_no_other(
    typed: Any, trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAIL", "1")
    done = typed(*FEW[:-1], "seed=1,2")
    assert (done.returncode, len(trained)) == (1, 2)
    assert "failed: seed=1: the disk is full" in done.stdout and "1 failed" in done.stdout
    assert [each["status"] for each in written(tmp_path)["jobs"]] == ["failed", "finished"]
    monkeypatch.delenv("FAIL")
    assert typed(*FEW[:-1], "seed=1,2").returncode == 0 and trained[2:] == [(0.1, 1)]


def test_a_signal_between_two_jobs_stops_the_sweep(
    typed: Any, trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = sweep._note

    def signalled(*what: Any) -> int:
        if len(trained) == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return note(*what)

    with monkeypatch.context() as patch:
        patch.setattr(sweep, "_note", signalled)
        done = typed(*FEW)
    assert done.returncode == 75 and "the sweep has stopped; the same command goes on with it" in done.stdout
    assert [each["status"] for each in written(tmp_path)["jobs"]] == ["finished", "waiting"]
    assert typed(*FEW).returncode == 0 and len(trained) == 2


@pytest.mark.parametrize("is_typed", [True, False])
def test_a_folder_that_is_typed_is_the_one_of_all_who_type_it_at_once(is_typed: bool, tmp_path: Path) -> None:
    """Two processes of one command, both of which find the folder empty, must not each have one of their own."""
    asked = tmp_path / "study"
    typed = [f"hydra.sweep.dir={asked}"] if is_typed else []
    config = OmegaConf.create({"hydra": {"sweep": {"dir": str(asked)}, "overrides": {"hydra": typed}}})
    first, other = (jobs.place_of(config, words) for words in (["a=1,2"], ["a=1,2,3"]))
    assert first == asked and (other == asked) == is_typed


def test_a_grid_of_a_range_without_steps_is_refused(typed: Any) -> None:
    done = typed("-m", "data=fake", "optim.lr=interval(0,1)")
    assert done.returncode == 2 and "hydra/sweeper=optuna draws from a range" in done.stderr


@pytest.mark.slow
def test_many_finished_jobs_are_skipped_without_composing_each(typed: Any, trained: Any) -> None:
    many = (*SWEEP[:3], "seed=range(300)")
    assert typed(*SWEEP[:3], "seed=0,1").returncode == 0
    (place,) = Path("outputs/sweeps").iterdir()
    entry = json.loads((place / "jobs.jsonl").read_text().splitlines()[1])
    from cnntrain.config.search_path import looking_in
    from cnntrain.search import jobs

    with looking_in(None):
        source = jobs.sources()
    keys = [jobs.key_of(["data=fake", "model=lenet5", f"++seed={seed}"], source) for seed in range(299)]
    assert keys[0] == entry["job"]
    jobs.index.add(place / "jobs.jsonl", [{**entry, "job": each} for each in keys])
    trained.clear()
    start = time.process_time()
    done = typed(*many, f"hydra.sweep.dir={place}")
    assert done.returncode == 0 and "299 have finished before" in done.stdout and trained == [(0.05, 299)]
    assert time.process_time() - start < 4  # composing each twice takes some 15 s


@pytest.mark.slow
def test_a_value_in_the_midst_of_a_range_is_checked_before_anything_runs(typed: Any, trained: Any) -> None:
    done = typed("-m", "data=fake", "data.batch_size=range(1,4)", "trainer.grad_accum=2")
    assert done.returncode == 2 and trained == []
    assert "data.batch_size=1 is the whole" in done.stderr and "data.batch_size=3 is the whole" in done.stderr
    assert "data.batch_size=2 is" not in done.stderr


def test_a_real_run_tells_its_metric_and_its_objective(configure: Any) -> None:
    ended = configure("trainer.max_steps=1").execute(())
    found = json.loads((Path(ended.made) / "result.json").read_text())
    assert found["metric"] == "val/top1"
    assert sweep.objective(ended) == found["best"]["val/top1"]
    assert float(Ended(objective=0.5)) == 0.5 and torch.isnan(torch.tensor(float(Ended())))
