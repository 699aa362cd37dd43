"""MLflow: a store in the run's folder, or the server that MLFLOW_TRACKING_URI names."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cnntrain.runs.trackers.base import Log

if TYPE_CHECKING:
    from torch import Tensor


METRICS = 1000  # as many as it takes at once


def opened(log: Log) -> Mlflow:
    return Mlflow(log)


class Mlflow:
    def __init__(self, log: Log):
        from mlflow import MlflowClient
        from mlflow.entities import Metric, Param

        self.make, self.parameter = Metric, Param
        store = log.folder.absolute() / "mlflow.db"
        self.client = MlflowClient(None if log.online else f"sqlite:///{store}")
        self.run = log.run_id("mlflow", lambda: self._created(log))
        self.client.update_run(self.run, status="RUNNING")

    def _created(self, log: Log) -> str:
        """A new run in the project, whose settings are its parameters."""
        experiment = self.client.get_experiment_by_name(log.project)
        place = None if log.online else (log.folder.absolute() / "mlflow").as_uri()
        number = experiment.experiment_id if experiment else self.client.create_experiment(log.project, place)
        run = self.client.create_run(number, run_name=log.name)
        parameters = [self.parameter(key, str(value)[:500]) for key, value in log.settings.items()]
        for start in range(0, len(parameters), 100):  # as many as it takes at once
            self.client.log_batch(run.info.run_id, params=parameters[start : start + 100])
        return str(run.info.run_id)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        now = int(1000 * time.time())
        self.client.log_batch(self.run, [self.make(key, float(value), now, step) for key, value in values.items()])

    def images(self, name: str, images: Tensor) -> None:
        from torchvision.utils import make_grid

        grid = make_grid(images.cpu(), nrow=8).mul(255).round().byte().permute(1, 2, 0)
        self.client.log_image(self.run, grid.numpy(), artifact_file=f"{name}.png")

    def layers(self, step: int, scalars: Mapping[str, float], histograms: Mapping[str, Tensor]) -> None:
        """The numbers: it knows no histograms."""
        some = list(scalars.items())
        for start in range(0, len(some), METRICS):
            self.log(step, dict(some[start : start + METRICS]))

    def hparams(self, settings: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
        now = int(1000 * time.time())
        self.client.log_batch(self.run, [self.make(key, float(value), now, 0) for key, value in metrics.items()])

    def close(self) -> None:
        self.client.set_terminated(self.run)
