"""A sweep: jobs one after another or by a launcher of Hydra's, each once, whatever interrupts it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from hydra._internal.hydra import Hydra
from hydra.plugins.launcher import Launcher
from hydra.types import RunMode
from omegaconf import DictConfig

from cnntrain.config import sweeping
from cnntrain.config.ended import Ended
from cnntrain.config.loader import TARGET
from cnntrain.core import signals, torchrun
from cnntrain.core.errors import ConfigError
from cnntrain.core.extras import needed
from cnntrain.core.lock import held
from cnntrain.core.words import tell
from cnntrain.runs import folder as folders
from cnntrain.search import outcomes, tables
from cnntrain.search.jobs import Job, of_grid, parsed, place_of, read_by, recall, remember
from cnntrain.search.launching import JOBLIB, ONE_BY_ONE, Task, heeding, launcher_at, to_workers
from cnntrain.search.outcomes import FAILED, FINISHED, STOPPED, WAITING

GRID = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"
ANEW = "resume=null"  # typed, every job is a new run


def run(hydra: Hydra, command: str, overrides: list[str], job: Task) -> list[int]:
    """Run a command once for each value, and return the exit codes.

    Args:
        job: one run, of a composed configuration.

    Raises:
        UserError: the sweep cannot be run.
        SystemExit: a signal ended it.
    """
    overrides = [*overrides, "hydra.mode=MULTIRUN"]
    config = hydra.compose_config(command, overrides, RunMode.MULTIRUN, with_log_configuration=True)
    sweeper = config.hydra.sweeper[TARGET]
    if sweeper == sweeping.NAME:
        if command != "train" or torchrun.processes() is not None:
            raise ConfigError("hydra/sweeper=optuna is for cnntrain -m, to train, without torchrun")
        needed("hydra/sweeper=optuna", "optuna", "search")
        from cnntrain.search.study import search

        return search(hydra, config, job)
    if command != "train" or torchrun.processes() is not None or sweeper != GRID:
        return _by_hydra(hydra, command, overrides, job)
    return _grid(hydra, config, job)


def _grid(hydra: Hydra, config: DictConfig, job: Task) -> list[int]:
    words = [str(each) for each in config.hydra.overrides.task]
    jobs = of_grid(parsed(hydra, config, words), read_by(config))
    launcher_name = config.hydra.launcher[TARGET]
    one_by_one = launcher_name == ONE_BY_ONE
    with ExitStack() as stack:
        if one_by_one:
            stack.enter_context(signals.handled())
        elif launcher_name == JOBLIB:  # a cluster's processes hear of it themselves
            stack.enter_context(signals.handled(to_workers))
        place = place_of(config, words)
        stack.enter_context(held(place))
        if not any(each.lstrip("+") == ANEW for each in words):
            recall(place, jobs)
        launcher = launcher_at(hydra, config, place, heeding(job))
        left = [each for each in jobs if each.status == WAITING]
        before = len(jobs) - len(left)
        skipped = f": {before} have finished before and are left as they are" if before else ""
        tell(f"sweep of {len(jobs)} jobs in {place}{skipped}")
        codes = _one_by_one(launcher, place, jobs) if one_by_one else _at_once(launcher, place, left)
        status = STOPPED if signals.STOPPED in codes else FAILED if any(codes) else FINISHED
        command = shlex.join(["cnntrain", "-m", *(each.lstrip("+") for each in words)])
        tell(tables.shown(jobs))
        tell(str(tables.write(place, command, status, jobs)))
        _cross_validated([each.outcome.run for each in jobs if each.status == FINISHED and each.outcome], place)
    if status == STOPPED:
        tell("the sweep has stopped; the same command goes on with it")
        return [signals.STOPPED]
    return codes


def _one_by_one(launcher: Launcher, place: Path, jobs: Sequence[Job]) -> list[int]:
    codes = list[int]()
    for number, each in enumerate(jobs):
        if each.status != WAITING:
            continue
        if signals.received() is not None:
            return [*codes, signals.STOPPED]
        (returned,) = launcher.launch([each.words], initial_job_idx=number)
        codes.append(_note(place, each, returned.return_value))
        if each.status == STOPPED:
            break
    return codes


def _at_once(launcher: Launcher, place: Path, jobs: Sequence[Job]) -> list[int]:
    """By a launcher that runs several jobs at a time, or hands them to a cluster."""
    if not jobs:
        return []
    try:
        returned = launcher.launch([each.words for each in jobs], initial_job_idx=0)
    except Exception:
        if signals.received() is None:
            raise
        return [signals.STOPPED]  # a worker was ended before it could heed signals
    return [_note(place, job, each.return_value) for job, each in zip(jobs, returned, strict=True)]


def _note(place: Path, job: Job, ended: Ended) -> int:
    """Note how a job ended, and return its exit code."""
    status = {0: FINISHED, signals.STOPPED: STOPPED}.get(ended.code, FAILED)
    job.ended(None if ended.made is None else Path(ended.made), status, ended.error)
    if status == FINISHED:
        remember(place, job)
    return ended.code


def _by_hydra(hydra: Hydra, command: str, overrides: list[str], job: Task) -> list[int]:
    """As Hydra does: another command's jobs, several processes that torchrun keeps together, another's sweeper."""
    here, codes = os.getpid(), list[int]()

    def once(composed: DictConfig) -> Ended:
        ended = job(composed)
        if ended.code == signals.STOPPED and os.getpid() == here:
            _say("the sweep has ended; resume=auto behind the same command goes on with it")
            raise SystemExit(ended.code)  # else Hydra starts the next job
        codes.append(ended.code)
        return ended

    returned = hydra.multirun(command, once, overrides)
    jobs = [each for batch in returned or () for each in batch]  # those of other processes too
    codes += [each.return_value.code for each in jobs]
    if command == "train" and jobs and os.environ.get("RANK", "0") == "0":
        made = [each.return_value.made for each in jobs if each.return_value.code == 0]
        _cross_validated([Path(each) for each in made if each is not None], Path(jobs[0].hydra_cfg.hydra.sweep.dir))
    if torchrun.processes() is not None:
        from cnntrain.core import dist

        dist.leave()
    return codes


def objective(ended: Ended) -> float | None:
    """Of a run that has finished the best value of its metric on val."""
    found = outcomes.read(Path(ended.made)) if ended.made is not None and ended.code == 0 else None
    return None if found is None else found.value


def _cross_validated(runs: Sequence[Path], place: Path) -> None:
    """Tell what a sweep over folds comes to, and leave it in the sweep's folder."""
    if len(runs) < 2 or all((folders.result(each) or {})["data"].get("folds") is None for each in runs):
        return
    from cnntrain.study import folds

    found = folds.validated(runs)
    for each in found:
        tell(folds.shown(each))
    if found:
        tell(str(folds.write(place, found)))


def _say(line: str) -> None:
    """Once over all ranks."""
    if os.environ.get("RANK", "0") == "0":
        tell(line)


def found_again(tree: dict[str, Any], typed: Sequence[str]) -> dict[str, Any]:
    """A job's tree, whose run is found again where nothing else is typed: the same command goes on."""
    asked = any(each.startswith("resume=") for each in typed) or torchrun.processes() is not None
    return tree if asked or tree["resume"] is not None else {**tree, "resume": "auto"}
