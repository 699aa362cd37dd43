"""TensorBoard's files, in the run's folder."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnntrain.core import files
from cnntrain.runs.trackers.base import Log

if TYPE_CHECKING:
    from torch import Tensor


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

    def hparams(self, settings: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
        with files.writing(self.folder):
            self.writer.add_hparams(dict(settings), dict(metrics), run_name=".")

    def close(self) -> None:
        try:
            with files.writing(self.folder):
                self.writer.close()
        finally:
            threading.excepthook = self.hook
