"""CMA-ES (Hansen 2016, arXiv:1604.00772) as a sampler of optuna's whose state is the study.

Optuna's own keeps its optimizer as a pickle in the study, and reads it again, by which a journal of somebody else's
could run code. Here the optimizer of the package ``cmaes`` is told anew of each generation that the trials have come
to, which their numbers and values alone decide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from cmaes import CMA, get_warm_start_mgd
from optuna._transform import _SearchSpaceTransform
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

GENERATION = "generation"  # the attribute of a trial that was drawn from one
SPREAD = 1 / 6  # of the first generation, in widths of the space
BEST = 0.1  # of runs of before, by which the first generation is drawn


class CmaEs(BaseSampler):
    """Draws one trial by a seed of its own; in the midst of the space first, or where runs of before were good.

    Args:
        ranges: of numbers alone.
    """

    def __init__(self, ranges: Mapping[str, BaseDistribution], seed: int):
        self.ranges = {key: each for key, each in ranges.items() if not each.single()}
        self.seed = seed
        self._unit = _SearchSpaceTransform(self.ranges, transform_0_1=True)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self.ranges

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if not self.ranges:
            return {}
        optimizer = self._optimizer(study)
        study._storage.set_trial_user_attr(trial._trial_id, GENERATION, optimizer.generation)
        return self._unit.untransform(optimizer.ask())

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Of what is no number of the space; there is none."""
        return RandomSampler(self.seed).sample_independent(study, trial, param_name, param_distribution)

    def _optimizer(self, study: Study) -> CMA:
        done = [each for each in study.get_trials(deepcopy=False) if each.state == TrialState.COMPLETE]
        optimizer = self._first([self._told(study, each) for each in done if GENERATION not in each.user_attrs])
        while True:
            now = [each for each in done if each.user_attrs.get(GENERATION) == optimizer.generation]
            if len(now) < optimizer.population_size:
                return optimizer
            optimizer.tell([self._told(study, each) for each in now[: optimizer.population_size]])

    def _first(self, before: Sequence[tuple[np.ndarray, float]]) -> CMA:
        """As Nomura et al. 2021 (arXiv:2012.06932) begin where there are runs of before."""
        bounds = np.array([[0.0, 1.0]] * len(self.ranges))
        if not before:
            return CMA(np.full(len(bounds), 0.5), SPREAD, bounds, seed=self.seed)
        mean, sigma, cov = get_warm_start_mgd(list(before), gamma=max(BEST, 1 / len(before)))
        return CMA(mean, sigma, bounds, seed=self.seed, cov=cov)

    def _told(self, study: Study, trial: FrozenTrial) -> tuple[np.ndarray, float]:
        """Where a trial is in the unit cube, and its value, of which less is better."""
        assert trial.value is not None, "it has come to its end"
        sign = -1 if study.direction == StudyDirection.MAXIMIZE else 1
        return self._unit.transform(trial.params), sign * trial.value
