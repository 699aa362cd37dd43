"""A child is trained as every network is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cnntrain.config.nas import Evaluation
from cnntrain.config.schema import TrainConfig
from cnntrain.core.limits import Positive


@dataclass(frozen=True)
class Train(Evaluation):
    """The reward is the best epoch's metric of val (`checkpoint.metric`), to a power; 0 where a loss was no number."""

    power: Positive

    def judged(self, config: TrainConfig) -> Mapping[str, Any]:
        from cnntrain.build import trial

        found = trial.tried(config)
        value = found["value"]
        return {**found, "reward": 0.0 if value is None else max(0.0, value) ** self.power}
