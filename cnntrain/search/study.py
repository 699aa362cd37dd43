"""``hydra/sweeper=optuna``: what is tried next depends on what was found before, on val alone."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Any

from hydra._internal.hydra import Hydra
from omegaconf import DictConfig, OmegaConf
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from cnntrain.config.check import check, plain, section
from cnntrain.config.compose import compose_config
from cnntrain.config.ended import Ended
from cnntrain.config.groups import command_class
from cnntrain.config.loader import TARGET
from cnntrain.config.schema import TrainConfig
from cnntrain.config.sweeping import Sweeping
from cnntrain.core import signals
from cnntrain.core.errors import ConfigError
from cnntrain.core.extras import needed
from cnntrain.core.keys import flat
from cnntrain.core.words import tell
from cnntrain.runs import folder as folders
from cnntrain.runs import history
from cnntrain.search import tables
from cnntrain.search.jobs import Job, parsed, place_of
from cnntrain.search.launching import ONE_BY_ONE, Task, launcher_at
from cnntrain.search.outcomes import FAILED, FINISHED, PRUNED, STOPPED, WAITING, read
from cnntrain.search.space import Space, of
from cnntrain.search.trials import ENDED, WARM, Trials

ALIKE = ("data", "model", "trainer.epochs")  # in runs whose values can be compared
RUN, ERROR = "run", "error"  # attributes of a trial
STATUS = {
    TrialState.COMPLETE: FINISHED,
    TrialState.PRUNED: PRUNED,
    TrialState.FAIL: FAILED,
}


def search(hydra: Hydra, config: DictConfig, job: Task) -> list[int]:
    """Try values until the study has its trials, and return the exit codes of those of this process.

    Args:
        job: one run, of a composed configuration, and of what watches its epochs.

    Raises:
        UserError: the search cannot be run.
    """
    words = [str(each) for each in config.hydra.overrides.task]
    settings, space = _settings(config), of(parsed(hydra, config, words))
    first = _checked(space, settings)
    metric = first.checkpoint.metric
    column = first.task.column(str(metric))
    assert column is not None, "checked with the configuration"
    codes = list[int]()
    with signals.handled():
        place = place_of(config, words)
        trials = Trials.open(place, settings, space, column.greater_is_better)
        with trials.locked():
            _warm(trials, first)
            before = sum(each.state in ENDED for each in trials.own())
        tell(f"search by {settings.sampler} in {place}: {before} of {trials.most} trials are done; objective {metric}")
        while signals.received() is None:
            with trials.next() as trial:
                if trial is None:
                    break
                codes.append(_try(hydra, config, place, job, trials, trial, str(metric)))
            if codes[-1] == signals.STOPPED:
                break
        stopped = signals.received() is not None or signals.STOPPED in codes
    jobs = [_job(each, space) for each in trials.own()]
    tell(tables.shown(jobs))
    tell(_best(trials))
    command = shlex.join(["cnntrain", "-m", *(each.lstrip("+") for each in words)])
    if not stopped:
        from cnntrain.search import plots  # which brings pyplot in

        for each in plots.write(trials, str(metric)):
            tell(str(each))
    tell(str(tables.write(place, command, STOPPED if stopped else FINISHED, jobs)))
    if stopped:
        tell("the search has stopped; the same command goes on with it")
        return [signals.STOPPED]
    return codes


def _settings(config: DictConfig) -> Sweeping:
    tree = OmegaConf.to_container(config.hydra.sweeper, resolve=True)
    assert isinstance(tree, dict)
    if config.hydra.launcher[TARGET] != ONE_BY_ONE:
        raise ConfigError(
            "hydra/sweeper=optuna takes no launcher: start the same command several times, and they share the study"
        )
    given = {str(key): value for key, value in tree.items() if key not in (TARGET, "params")}
    return section(given, Sweeping, "hydra.sweeper")


def _checked(space: Space, settings: Sweeping) -> TrainConfig:
    """The configuration of the first corner of the space, all others being right, too.

    Raises:
        ConfigError: some are not, or they do not minimise the same.
    """
    found, problems = list[TrainConfig](), list[str]()
    for words in space.corners():
        try:
            config = check(plain(compose_config("train", words)), command_class("train"))
            assert isinstance(config, TrainConfig)
            found.append(config)
        except ConfigError as error:
            problems += [each for each in error.problems if each not in problems]
    if problems:
        raise ConfigError(*problems)
    if len({each.checkpoint.metric for each in found}) > 1:
        raise ConfigError(
            "hydra/sweeper=optuna: trials are compared by one metric: give checkpoint.metric=val/<metric>"
        )
    if settings.pruner != "none" and any(each.devices > 1 for each in found):
        raise ConfigError(f"hydra.sweeper.pruner={settings.pruner} watches runs of one process: leave devices out")
    if settings.warm_start is not None and not Path(settings.warm_start).is_dir():
        raise ConfigError(f"hydra.sweeper.warm_start={settings.warm_start}: there is no such folder")
    if settings.sampler == "grid":
        space.grid()
    if settings.sampler == "cmaes":
        needed("hydra.sweeper.sampler=cmaes", "cmaes", "search")
        space.require_numbers()
    return found[0]


def _try(hydra: Hydra, config: DictConfig, place: Path, job: Task, trials: Trials, trial: Trial, metric: str) -> int:
    """Run a trial to its end, tell the study, and return its exit code; after a signal it stays under way."""
    study = trials.study

    def prune(epoch: int, value: float) -> bool:
        known = study.get_trials(deepcopy=False)[trial.number].intermediate_values
        if epoch not in known and isfinite(value):
            trial.report(value, epoch)
        return trial.should_prune()

    watched = partial(job, prune=prune if trials.settings.pruner != "none" else None)
    launcher = launcher_at(hydra, config, place, watched)
    (returned,) = launcher.launch([trials.space.words(trial.params)], initial_job_idx=trial.number)
    ended: Ended = returned.return_value
    if ended.code == signals.STOPPED:
        return ended.code
    found = None if ended.made is None or ended.code else read(Path(ended.made))
    values = None
    if found is not None:
        trial.set_user_attr(RUN, str(found.run))
        values = _values(found.value, found.run, trials.settings)
    if found is not None and found.status == PRUNED:
        trials.tell(trial, None, TrialState.PRUNED)
    elif values is not None:
        trials.tell(trial, values)
    else:
        trial.set_user_attr(ERROR, ended.error or f"there is no {metric}")
        trials.tell(trial, None, TrialState.FAIL)
    return ended.code


def _values(value: float | None, run: Path, settings: Sweeping) -> list[float] | None:
    """The objectives; None where the first is no number."""
    if value is None or not isfinite(value):
        return None
    if settings.against is None:
        return [value]
    ended = folders.result(run)
    assert ended is not None, "it has finished"
    return [value, float(ended["model"][settings.against])]


def _warm(trials: Trials, config: TrainConfig) -> None:
    """Let a new study know finished runs of before, as far as they have a value in the space for each of its keys.

    Args:
        config: of a trial.
    """
    where = trials.settings.warm_start
    if where is None or trials.study.get_trials(deepcopy=False):
        return
    metric, own = str(config.checkpoint.metric), flat(asdict(config))
    fixed = [each for each in ALIKE if each not in {key.lstrip("+") for key in trials.space.ranges}]
    runs, added, others = history.read(where)[0], 0, set[str]()
    for run in runs:
        params = {key: _param(run, key, each) for key, each in trials.space.ranges.items()}
        value = run.epochs.get(run.best, {}).get(metric)
        values = _values(value, run.folder, trials.settings)
        if None in params.values() or values is None:
            continue
        trials.study.add_trial(
            create_trial(
                params=params, distributions=trials.space.ranges, values=values, user_attrs={WARM: str(run.folder)}
            )
        )
        added += 1
        others |= {key for key in fixed if run.setting(key) != own.get(key, own.get(f"{key}.name"))}
    if others:
        keys = ", ".join(sorted(others))
        tell(f"note: some runs in {where} have another {keys}; their values count as this search's own")
    tell(f"{added} of {len(runs)} runs in {where} are known to the study from its start")


def _param(run: history.Finished, key: str, each: BaseDistribution) -> Any:
    """A run's value of a key of the space; None where it has none there."""
    try:
        found = run.setting(key.lstrip("+"))
    except history.AbsentError:
        return None
    if isinstance(each, CategoricalDistribution):
        return history.text(found) if history.text(found) in each.choices else None
    return found if history.is_number(found) and each._contains(each.to_internal_repr(found)) else None


def _job(trial: FrozenTrial, space: Space) -> Job:
    """A trial as a row of the table."""
    varied = {"trial": str(trial.number), **{key.lstrip("+"): _text(trial.params.get(key)) for key in space.ranges}}
    found = Job(space.words(trial.params) if trial.params.keys() >= space.ranges.keys() else [], varied, "")
    found.status = STATUS.get(trial.state, WAITING)
    run = trial.user_attrs.get(RUN)
    found.outcome = None if run is None else read(Path(run))
    found.error = trial.user_attrs.get(ERROR)
    return found


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _best(trials: Trials) -> str:
    """What is best: one trial, or of two objectives those that no other is better than in both."""
    done = [each for each in trials.own() if each.state == TrialState.COMPLETE]
    if not done:
        return "no trial has come to its end"
    best = [each for each in trials.study.best_trials if WARM not in each.user_attrs]
    lines = [
        f"trial {each.number}: {_typed(each.params)}: {', '.join(f'{value:g}' for value in each.values)}"
        for each in best
    ]
    return "\n".join(["best, by val:", *lines]) if lines else "a run of before is better than all trials"


def _typed(params: Mapping[str, Any]) -> str:
    return " ".join(f"{key.lstrip('+')}={value}" for key, value in params.items())
