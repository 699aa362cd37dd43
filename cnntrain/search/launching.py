"""Hydra's launchers, as a sweep and a search use them."""

from __future__ import annotations

import os
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Protocol

from hydra._internal.callbacks import Callbacks
from hydra._internal.hydra import Hydra
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from cnntrain.config.ended import Ended, Prune
from cnntrain.core import signals

ONE_BY_ONE = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"
JOBLIB = "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher"


class Task(Protocol):
    """One run of a composed configuration."""

    def __call__(self, composed: DictConfig, prune: Prune | None = None) -> Ended: ...


def launcher_at(hydra: Hydra, config: DictConfig, place: Path, job: TaskFunction) -> Launcher:
    """Hydra's launcher of jobs, whose own files go to a folder."""
    with open_dict(config):
        config.hydra.sweep.dir = str(place)
    OmegaConf.save(config, place / "multirun.yaml")
    context = HydraContext(config_loader=hydra.config_loader, callbacks=Callbacks(config))
    return Plugins.instance().instantiate_launcher(hydra_context=context, task_function=job, config=config)


def heeding(job: Task) -> TaskFunction:
    """The job, which does not begin where a signal came; in a worker of joblib's, which goes on with what is left."""
    here = os.getpid()

    def heeded(composed: DictConfig) -> Ended:
        with signals.worker_of(here) if os.getppid() == here else nullcontext():
            return Ended(signals.STOPPED) if signals.received() is not None else job(composed)

    return heeded


def to_workers(number: int) -> None:
    """Send a signal to the worker processes of joblib, which does not say which they are."""
    from joblib.externals.loky import reusable_executor

    executor = reusable_executor._executor
    for pid in list((executor and executor._processes) or ()):
        with suppress(ProcessLookupError):
            os.kill(pid, number)
