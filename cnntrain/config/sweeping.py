"""The settings of ``hydra/sweeper=optuna``, which is ours: Hydra knows it by its name. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hydra.core.config_store import ConfigStore

from cnntrain.core.limits import Count, Place, Whole

NAME = "cnntrain.search.study"  # stands where Hydra's own sweepers name their class
DEFAULTS = {
    "sampler": "tpe", "pruner": "none", "n_trials": 20, "seed": 0, "against": None, "warm_start": None, "params": None,
}  # fmt: skip


@dataclass(frozen=True)
class Sweeping:
    """How the next values to try are chosen."""

    sampler: Literal["tpe", "gp", "random", "grid", "nsga2", "cmaes"]
    pruner: Literal["none", "median", "hyperband"]  # which ends a run early, by the epochs' metric on val
    n_trials: Count  # in the study, those of earlier commands included
    seed: Whole  # of the sampler
    against: Literal["macs", "params"] | None  # a second objective, to be small
    warm_start: Place | None  # a folder of finished runs that the study knows from its start

    def __post_init__(self) -> None:
        if self.against is not None and self.pruner != "none":
            raise ValueError("pruner= goes by one objective: leave it out, or against=")
        if self.against is not None and self.sampler == "cmaes":
            raise ValueError("sampler=cmaes goes by one objective: leave against= out, or take nsga2 or tpe")


def register(target: str) -> None:
    """Let ``hydra/sweeper=optuna`` be a choice.

    Args:
        target: the key by which Hydra's plug-ins name their class.
    """
    ConfigStore.instance().store("optuna", {target: NAME, **DEFAULTS}, group="hydra/sweeper", provider="cnntrain")
