"""The keys of ``report``. Nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Reporting:
    """Where the numbers of a run go, besides its own files, and whether it leaves a page to read."""

    trackers: list[Literal["tensorboard", "csv", "wandb", "mlflow"]]
    project: str  # under which wandb and mlflow put the run
    online: bool  # whether they may leave this machine
    html: bool  # whether a finished run leaves a page

    def __post_init__(self) -> None:
        twice = sorted({each for each in self.trackers if self.trackers.count(each) > 1})
        if twice:
            raise ValueError(f"trackers must name each tracker once, not {', '.join(twice)} twice")
        if self.online and not {"wandb", "mlflow"} & {*self.trackers}:
            raise ValueError("online=true is of wandb and mlflow, and report.trackers has neither")
