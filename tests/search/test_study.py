"""Searches by the command line: what they find, go on with after a kill, share between processes, and end early."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from cnntrain.commands.train import Train
from cnntrain.config.schema import Ended
from cnntrain.config.sweeping import Sweeping
from cnntrain.core import plain_json
from cnntrain.runs import folder as folders
from cnntrain.search import plots, space
from cnntrain.search.trials import Trials
from cnntrain.tasks.classify import COLUMNS

SEARCH = (
    "-m", "data=fake", "model=lenet5", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=3", "hydra.sweep.dir=study",
    "optim.lr=tag(log,interval(1e-4,1))",
)  # fmt: skip


def settings(**changed: Any) -> Sweeping:
    given = {"sampler": "random", "pruner": "none", "n_trials": 4, "seed": 0, "against": None, "warm_start": None}
    return Sweeping(**{**given, **changed})


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Runs that train nothing: their value is the rate; the third hears a signal where `STOP` is set."""
    rates: list[float] = []

    def execute(self: Train, typed: Any, prune: Any = None) -> Ended:
        from dataclasses import asdict

        rates.append(self.optim.lr)
        tree = {**asdict(self), "resume": None}
        place = Path(
            self.resume or folders.create(Path(self.output) / "x", lambda each: folders.describe(each, tree, []))
        )
        if len(rates) == 2 and os.environ.get("STOP"):
            os.kill(os.getpid(), signal.SIGTERM)
            return Ended(75, str(place))
        result = {"status": "finished", "epochs": 1, "best": {"epoch": 1, "val/top1": self.optim.lr}, "data": {},
                  "metric": "val/top1", "task": {"columns": [vars(each) for each in COLUMNS]}}  # fmt: skip
        (place / "result.json").write_text(plain_json.text(result))
        (place / "metrics.jsonl").write_text(plain_json.text({"step": 1, "epoch": 1, "val/top1": self.optim.lr}) + "\n")
        return Ended(made=str(place))

    monkeypatch.setattr(Train, "execute", execute)
    monkeypatch.setattr(plots, "write", lambda trials, metric: [trials.place / "history.png"])  # see test_plots.py
    return rates


def test_a_search_goes_on_where_it_was_stopped_with_the_same_trials(
    typed: Any, tried: list[float], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whole = typed(*SEARCH)
    assert whole.returncode == 0, whole.stderr
    drawn = [*tried]
    assert len(set(drawn)) == 3 and all(1e-4 <= each <= 1 for each in drawn)
    assert "study/history.png" in whole.stdout
    assert f"{max(drawn):g}" in whole.stdout.partition("best, by val:")[2]
    jobs = json.loads(Path("study/sweep.json").read_text())["jobs"]
    assert [each["value"] for each in jobs] == drawn

    tried.clear()
    again = ("hydra.sweep.dir=other", "output=others")
    with monkeypatch.context() as patch:
        patch.setenv("STOP", "1")
        stopped = typed(*SEARCH, *again)
        assert stopped.returncode == 75 and tried == drawn[:2] and "history.png" not in stopped.stdout
    done = typed(*SEARCH, *again)
    assert done.returncode == 0 and "1 of 3 trials are done" in done.stdout
    assert tried == [*drawn[:2], *drawn[1:]] and "resume: " in done.stdout
    assert [each["value"] for each in json.loads(Path("other/sweep.json").read_text())["jobs"]] == drawn
    assert typed(*SEARCH, *again).returncode == 0 and len(tried) == 4


@pytest.mark.parametrize("sampler", ["tpe", "gp", "random", "grid", "nsga2", "cmaes"])
def test_each_sampler_draws_within_the_space_and_the_same_for_a_seed(sampler: str, tmp_path: Path) -> None:
    steps = optuna.distributions.IntDistribution(1, 3)
    found = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        many = Trials.open(tmp_path / name, settings(sampler=sampler), space.Space([], {"a": steps}), True)
        while True:
            with many.next() as trial:
                if trial is None:
                    break
                many.tell(trial, [float(trial.params["a"])])
        found.append([each.params["a"] for each in many.own()])
    assert found[0] == found[1] and set(found[0]) <= {1, 2, 3}
    assert len(found[0]) == (3 if sampler == "grid" else 4)
    assert sampler != "grid" or sorted(found[0]) == [1, 2, 3]


def test_of_two_processes_one_takes_over_what_the_other_has_left(tmp_path: Path) -> None:
    ranges = space.Space([], {"a": optuna.distributions.FloatDistribution(0, 1)})
    one, two = (Trials.open(tmp_path, settings(n_trials=2), ranges, True) for _ in range(2))
    with one.next() as first, two.next() as second:
        assert first is not None and second is not None and (first.number, second.number) == (0, 1)
        with one.next() as third:
            assert third is None  # both are somebody's
        two.tell(second, [1.0])
    with two.next() as taken:  # the first process is gone
        assert taken is not None and (taken.number, taken.params) == (0, first.params)
        two.tell(taken, [0.5])
    with one.next() as none:
        assert none is None
    assert [each.value for each in one.own()] == [0.5, 1.0]


def test_a_journal_in_whose_writing_a_process_was_killed_loses_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither half a line nor a lock of optuna's own, which in a folder typed as here links to nowhere."""
    monkeypatch.chdir(tmp_path)
    place = Path("study")
    place.mkdir()
    ranges = space.Space([], {"a": optuna.distributions.FloatDistribution(0, 1)})
    one, two = (Trials.open(place, settings(n_trials=2), ranges, True) for _ in range(2))
    for each in (one, two):
        with each.next() as trial:
            assert trial is not None
            with open(place / "journal.log", "a") as journal:
                journal.write('{"op_code":5,"worker_id":"a')
            (place / "journal.log.lock").unlink(missing_ok=True)
            (place / "journal.log.lock").symlink_to("study/journal.log")
            each.tell(trial, [0.5])
    assert [each.value for each in Trials.open(place, settings(), ranges, True).own()] == [0.5, 0.5]
    assert all(json.loads(line) for line in (place / "journal.log").read_text().splitlines())


def test_a_watched_run_ends_early_saved_and_untested(configure: Any, capsys: Any) -> None:
    seen: list[tuple[int, float]] = []

    def prune(epoch: int, value: float) -> bool:
        seen.append((epoch, value))
        return epoch == 2

    ended = configure("trainer.epochs=4").execute((), prune)
    found = json.loads((Path(ended.made) / "result.json").read_text())
    lines = [json.loads(line) for line in (Path(ended.made) / "metrics.jsonl").read_text().splitlines()]
    assert (found["status"], found["epochs"], found["test"]) == ("pruned", 2, None)
    assert seen == [(each["epoch"], each["val/top1"]) for each in lines if "epoch" in each][:2]
    assert "pruned after epoch 2" in capsys.readouterr().out
    further = configure("trainer.epochs=4", f"resume={ended.made}").execute(())
    assert json.loads((Path(further.made) / "result.json").read_text())["epochs"] == 4


@pytest.mark.slow
def test_a_search_knows_runs_of_before_and_says_where_they_are_others(typed: Any, tried: list[float]) -> None:
    typed(*SEARCH)
    more = ("hydra.sweep.dir=other", "output=others", "hydra.sweeper.n_trials=1", "hydra.sweeper.warm_start=outputs")
    done = typed(*SEARCH, *more, "trainer.epochs=7")
    assert "3 of 3 runs in outputs are known" in done.stdout and "0 of 1 trials are done" in done.stdout
    assert "note: some runs in outputs have another trainer.epochs;" in done.stdout
    study = optuna.load_study(study_name="sweep", storage=JournalStorage(JournalFileBackend("other/journal.log")))
    assert [each.value for each in study.trials] == tried


@pytest.mark.slow
def test_wrong_settings_are_told_all_at_once_and_nothing_runs(typed: Any, tried: list[float]) -> None:
    done = typed(*SEARCH, "hydra.sweeper.sampler=tpee", "hydra.sweeper.pruner=mean")
    assert done.returncode == 2 and tried == []
    choices = typed(*SEARCH, "data.batch_size=choice(16,32)", "hydra.sweeper.sampler=cmaes")
    assert choices.returncode == 2 and "sampler=cmaes: data.batch_size needs numbers" in choices.stderr
    assert "did you mean 'tpe'" in done.stderr and "hydra.sweeper.pruner=mean must be one of" in done.stderr
    assert "hydra.sweeper.warm_start=no: there is no" in typed(*SEARCH, "hydra.sweeper.warm_start=no").stderr
    assert "hydra.sweeper.sampler=grid" in typed(*SEARCH, "hydra.sweeper.sampler=grid").stderr
    assert "optim.lr=1.5" not in (wrong := typed(*SEARCH[:-1], "optim.lr=interval(-1,1)")).stderr
    assert wrong.returncode == 2 and "optim.lr=-1" in wrong.stderr
    assert typed(*SEARCH[:-1]).returncode == 2
