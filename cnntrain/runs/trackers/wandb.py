"""Weights & Biases: offline in the run's folder, for ``wandb sync``, or its server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cnntrain.runs.trackers.base import Log

if TYPE_CHECKING:
    from torch import Tensor

STEP = "step"  # a metric beside the others: wandb's own step may not go back, as a resume does


def opened(log: Log) -> Wandb:
    return Wandb(log)


class Wandb:
    def __init__(self, log: Log):
        import wandb

        self.wandb = wandb
        self.run = wandb.init(
            project=log.project, name=log.name, id=log.run_id("wandb"), resume="allow", dir=str(log.folder.absolute()),
            mode="online" if log.online else "offline", config=dict(log.settings), reinit="create_new",
            settings=wandb.Settings(console="off", disable_git=True, disable_code=True, silent=True, init_timeout=30),
        )  # fmt: skip
        self.run.define_metric(STEP)
        self.run.define_metric("*", step_metric=STEP)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self.run.log({STEP: step, **values})

    def images(self, name: str, images: Tensor) -> None:
        self.run.log({name: [self.wandb.Image(each) for each in images.cpu()]})

    def layers(self, step: int, scalars: Mapping[str, float], histograms: Mapping[str, Tensor]) -> None:
        drawn = {name: self.wandb.Histogram(values.numpy()) for name, values in histograms.items()}
        self.run.log({STEP: step, **scalars, **drawn})

    def hparams(self, settings: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
        self.run.summary.update(dict(metrics))

    def close(self) -> None:
        self.run.finish()
