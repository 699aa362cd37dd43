"""TensorBoard's files, in the run's folder."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnntrain.core import files
from cnntrain.core.words import printable
from cnntrain.runs.trackers.base import Log

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


PROJECTOR = "projector_config.pbtxt"  # what clouds of points there are


def opened(log: Log) -> TensorBoard:
    return TensorBoard(log.folder / "tb", log.step)


class TensorBoard:
    """Scalars, images and hyperparameters for TensorBoard, whose thread writes them.

    An error of the thread is raised by the next call here; the thread's own traceback is not shown.
    """

    def __init__(self, folder: Path, step: int):
        from torch.utils.tensorboard import SummaryWriter

        self.folder, self.hook = folder, threading.excepthook
        threading.excepthook = self._died
        try:
            with files.writing(folder):
                self.writer = SummaryWriter(str(folder), purge_step=step + 1 if step else None)
        except BaseException:
            threading.excepthook = self.hook
            raise

    def _died(self, ended: threading.ExceptHookArgs) -> None:
        if not (isinstance(ended.exc_value, OSError) and type(ended.thread).__module__.startswith("tensorboard.")):
            self.hook(ended)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        with files.writing(self.folder):
            for name, value in values.items():
                self.writer.add_scalar(name, value, step)

    def images(self, name: str, images: Tensor) -> None:
        from torchvision.utils import make_grid

        with files.writing(self.folder):
            self.writer.add_image(name, make_grid(images.cpu(), nrow=8), 0)

    def layers(self, step: int, scalars: Mapping[str, float], histograms: Mapping[str, Tensor]) -> None:
        with files.writing(self.folder):
            for name, value in scalars.items():
                self.writer.add_scalar(name, value, step)
            for name, values in histograms.items():
                if values.isfinite().all():  # of others TensorBoard makes none
                    self.writer.add_histogram(name, values, step)

    def points(self, name: str, features: np.ndarray, about: Mapping[str, Sequence[str]], pictures: np.ndarray) -> None:
        """Points for the projector.

        Args:
            features: [points, features].
            about: columns of text, a row a point.
            pictures: uint8 [points, side, side, 3].
        """
        import torch

        rows = [[printable(each) for each in row] for row in zip(*about.values(), strict=True)]
        sprites = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
        config = self.folder / PROJECTOR
        with files.writing(self.folder):
            before = config.read_bytes() if config.is_file() else b""  # which torch replaces
            self.writer.add_embedding(features, rows, sprites, 0, name, list(about))
            files.write_atomic(config, before + config.read_bytes())

    def hparams(self, settings: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
        with files.writing(self.folder):
            self.writer.add_hparams(dict(settings), dict(metrics), run_name=".")

    def close(self) -> None:
        try:
            with files.writing(self.folder):
                self.writer.close()
        finally:
            threading.excepthook = self.hook
