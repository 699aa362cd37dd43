"""A child is trained as every network is."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cnntrain.config.nas import Evaluation
from cnntrain.config.schema import TrainConfig
from cnntrain.core.errors import LossError
from cnntrain.core.limits import Positive


@dataclass(frozen=True)
class Train(Evaluation):
    """The reward is the best epoch's metric of val (`checkpoint.metric`), to a power; 0 where a loss was no number."""

    power: Positive

    def judged(self, config: TrainConfig) -> Mapping[str, Any]:
        from cnntrain.build.run import build
        from cnntrain.build.trial import fitted

        start, value = time.monotonic(), None
        run = build(config)
        params = sum(each.numel() for each in run.state.model.parameters())
        try:
            best = fitted(run).state.progress.best
            value = None if best is None else best[str(config.checkpoint.metric)]
        except LossError as error:
            found = {"failed": str(error)}
        else:
            found = {}
        return {
            "value": value,
            "reward": 0.0 if value is None else max(0.0, value) ** self.power,
            "params": params,
            "macs": run.macs,
            "epochs": run.state.progress.epoch,
            "seconds": time.monotonic() - start,
            **found,
        }
