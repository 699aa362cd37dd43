"""A sheet of made images for each epoch of a run: of the same random numbers, so that one sees how they change."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from cnntrain.core.adversaries import pictures
from cnntrain.runs.report import Report
from cnntrain.runs.sheet import FOLDER, SHOWN, name_of, write_sheet
from cnntrain.training.state import State


class Sampler:
    """A sink that with the numbers of each epoch writes what the network that was judged makes by then, and shows it to
    the trackers. No random number of the run's is drawn."""

    def __init__(self, folder: Path, state: State, report: Report):
        self.folder, self.state, self.report = folder, state, report

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Raises RunError where the disk is full or cannot be written."""
        if "epoch" not in values:
            return
        images = pictures(self.state.eval_model, range(SHOWN))  # which has just been judged, in evaluation mode
        name = name_of(int(values["epoch"]))
        write_sheet(self.folder / FOLDER / f"{name}.png", images)
        self.report.images(f"{FOLDER}/{name}", images / 255)

    def images(self, name: str, images: Tensor) -> None:
        """It makes images, and is shown none."""

    def layers(self, step: int, scalars: Mapping[str, float], histograms: Mapping[str, Tensor]) -> None:
        """Nothing is told of layers."""

    def hparams(self, settings: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
        """Nothing is told of settings."""

    def close(self) -> None:
        """Nothing is open."""
