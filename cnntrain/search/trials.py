"""A study of optuna's that several processes may work on, each of which may be killed: no trial is lost or doubled.

A trial is asked for, and its folder held, while the study is held; so a trial that runs and whose folder nobody holds
is one of a process that is gone, and whoever finds it goes on with it, with the same values, in the same run.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path

import optuna
from optuna.samplers import BaseSampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._file import BaseJournalFileLock
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

from cnntrain.config.sweeping import Sweeping
from cnntrain.core.lock import held, in_use
from cnntrain.search.space import Space

JOURNAL = "journal.log"
WARM = "warm"  # the attribute of a trial that is a run of before
PATIENCE = 12_000  # twentieths of a second that another process may hold the study
ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


class JournalLock(BaseJournalFileLock):
    """Held while a line is added to the journal. It goes with its process: optuna's own are files that a killed one
    leaves behind, and what that one has half written would become one line with the next."""

    def __init__(self, journal: Path):
        self.journal = journal
        self._held = ExitStack()

    def acquire(self) -> bool:
        self._held.enter_context(held(self.journal.parent, PATIENCE))
        with open(self.journal, "rb+") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 1))
            if file.read() not in (b"", b"\n"):
                file.seek(0)
                file.truncate(file.read().rfind(b"\n") + 1)
        return True

    def release(self) -> None:
        self._held.close()


@dataclass(frozen=True)
class Trials:
    """The trials of a study in a sweep's folder."""

    place: Path
    settings: Sweeping
    space: Space
    study: Study

    @classmethod
    def open(cls, place: Path, settings: Sweeping, space: Space, greater_is_better: bool) -> Trials:
        """Make the study, or open the one that is there."""
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        best = StudyDirection.MAXIMIZE if greater_is_better else StudyDirection.MINIMIZE
        study = optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(place / JOURNAL), JournalLock(place / JOURNAL))),
            study_name="sweep",
            directions=[best, *([StudyDirection.MINIMIZE] if settings.against is not None else [])],
            pruner=_pruner(settings),
            load_if_exists=True,
        )
        return cls(place, settings, space, study)

    @property
    def most(self) -> int:
        """How many trials the study gets."""
        if self.settings.sampler != "grid":
            return self.settings.n_trials
        return min(self.settings.n_trials, prod(map(len, self.space.grid().values())))

    def own(self) -> list[FrozenTrial]:
        """Those that are no runs of before."""
        return [each for each in self.study.get_trials(deepcopy=False) if WARM not in each.user_attrs]

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Within the block no other process asks for a trial."""
        folder = self.place / "trials"
        folder.mkdir(parents=True, exist_ok=True)
        with held(folder, PATIENCE):
            yield

    @contextmanager
    def next(self) -> Iterator[Trial | None]:
        """The next trial, which is this process's within the block: one whose process is gone, else a new one; None
        where there are enough."""
        with ExitStack() as stack:
            with self.locked():
                trials = self.own()
                abandoned = [each for each in trials if each.state == TrialState.RUNNING and not in_use(self._at(each))]
                trial: Trial | None = None
                if abandoned:
                    self.study.sampler = optuna.samplers.RandomSampler()  # which draws nothing: all is drawn
                    trial = Trial(self.study, abandoned[0]._trial_id)
                elif len(trials) < self.most:
                    self.study.sampler = self._sampler(len(self.study.get_trials(deepcopy=False)))
                    trial = self.study.ask()
                if trial is not None:
                    for key, each in self.space.ranges.items():  # of a process killed between two of them the rest
                        trial._suggest(key, each)
                    self._at(trial).mkdir(exist_ok=True)
                    stack.enter_context(held(self._at(trial)))
            yield trial

    def tell(self, trial: Trial, values: list[float] | None, state: TrialState | None = None) -> None:
        """Note how a trial ended."""
        self.study.sampler = optuna.samplers.RandomSampler()  # that of a grid would stop a loop of optuna's own
        self.study.tell(trial.number, values, state)

    def _at(self, trial: Trial | FrozenTrial) -> Path:
        return self.place / "trials" / str(trial.number)

    def _sampler(self, number: int) -> BaseSampler:
        """That of one trial, so that a study which was interrupted draws what it would have drawn."""
        seed = (self.settings.seed * 1_000_003 + number) % 2**32
        samplers = optuna.samplers
        if self.settings.sampler == "grid":
            # its seed orders the grid; what is left of that is drawn anew for each trial
            return samplers.GridSampler(self.space.grid(), seed=self.settings.seed)
        if self.settings.sampler == "gp":
            return samplers.GPSampler(seed=seed)
        if self.settings.sampler == "cmaes":
            from cnntrain.search.cma_es import CmaEs

            return CmaEs(self.space.ranges, seed)
        kinds = {"tpe": samplers.TPESampler, "random": samplers.RandomSampler, "nsga2": samplers.NSGAIISampler}
        return kinds[self.settings.sampler](seed=seed)


def _pruner(settings: Sweeping) -> optuna.pruners.BasePruner:
    kinds = {"none": optuna.pruners.NopPruner, "median": optuna.pruners.MedianPruner}
    return optuna.pruners.HyperbandPruner() if settings.pruner == "hyperband" else kinds[settings.pruner]()
