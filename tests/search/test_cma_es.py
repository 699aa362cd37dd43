"""CMA-ES whose state is the study, against the loop that the package ``cmaes`` documents."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import optuna
import pytest
from cmaes import CMA
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.trial import create_trial

from cnntrain.config.sweeping import Sweeping
from cnntrain.search.cma_es import GENERATION, CmaEs
from cnntrain.search.space import Space
from cnntrain.search.trials import WARM, Trials

RANGES = {"a": FloatDistribution(-1, 3), "b": FloatDistribution(1e-4, 1, log=True), "one": FloatDistribution(2, 2)}
BEST = {"a": 2.2, "b": 1e-3}


def value(a: float, b: float) -> float:
    """Greatest at `BEST`."""
    return -((a - BEST["a"]) ** 2) - np.log10(b / BEST["b"]) ** 2


def searched(place: Path, count: int, before: int = 0) -> Trials:
    place.mkdir(exist_ok=True)
    settings = Sweeping(sampler="cmaes", pruner="none", n_trials=count, seed=0, against=None, warm_start=None)
    trials = Trials.open(place, settings, Space([], dict(RANGES)), greater_is_better=True)
    for number in range(before):
        params = {"a": 2.1 + number / 100, "b": 2e-3, "one": 2.0}
        found = value(params["a"], params["b"])
        trials.study.add_trial(
            create_trial(params=params, distributions=RANGES, values=[found], user_attrs={WARM: "a run"})
        )
    while True:
        with trials.next() as trial:
            if trial is None:
                return trials
            trials.tell(trial, [value(trial.params["a"], trial.params["b"])])


def test_generations_are_those_of_the_packages_own_loop(tmp_path: Path) -> None:
    trials = searched(tmp_path / "study", 40)
    sampler = CmaEs(RANGES, seed=5)
    unit = {"a": lambda a: (a + 1) / 4, "b": lambda b: (np.log10(b) + 4) / 4}
    own = CMA(np.full(2, 0.5), 1 / 6, np.array([[0.0, 1.0]] * 2))
    done = trials.own()
    for start in range(0, 36, own.population_size):
        some = done[start : start + own.population_size]
        assert {each.user_attrs[GENERATION] for each in some} == {own.generation}
        own.tell([(np.array([unit[key](each.params[key]) for key in unit]), -each.value) for each in some])
    rebuilt = sampler._optimizer(trials.study)
    np.testing.assert_allclose(rebuilt.mean, own.mean, rtol=1e-9)
    np.testing.assert_allclose(rebuilt._C, own._C, rtol=1e-9)
    assert rebuilt.generation == own.generation == 6
    assert max(each.value for each in done) > -0.01  # a random one is as near in 1 of 1,300
    assert {each.params["one"] for each in done} == {2}


def test_a_study_that_was_interrupted_draws_what_it_would_have_drawn_and_holds_no_pickle(tmp_path: Path) -> None:
    searched(tmp_path / "a", 9)
    parts, whole = searched(tmp_path / "a", 20), searched(tmp_path / "b", 20)
    assert [each.params for each in parts.own()] == [each.params for each in whole.own()]
    attributes = {key for each in parts.own() for key in (*each.system_attrs, *each.user_attrs)}
    assert attributes == {GENERATION}


@pytest.mark.parametrize("before", [1, 25])
def test_it_begins_where_runs_of_before_were_good(before: int, tmp_path: Path) -> None:
    drawn = searched(tmp_path / "study", 6, before).own()
    assert len(drawn) == 6
    assert all(abs(each.params["a"] - 2.2) < 1.6 and abs(np.log10(each.params["b"] / 2e-3)) < 1.6 for each in drawn)


def test_whole_numbers_stay_within_their_range_and_steps(tmp_path: Path) -> None:
    ranges = {"n": IntDistribution(1, 4), "m": IntDistribution(8, 64, step=8)}
    drawn = []
    for seed in range(30):
        study = optuna.create_study(sampler=CmaEs(ranges, seed))
        drawn.append(study.ask(ranges).params)
    assert {each["m"] % 8 for each in drawn} == {0} and {each["n"] for each in drawn} <= {1, 2, 3, 4}
    assert len({each["m"] for each in drawn}) > 3
