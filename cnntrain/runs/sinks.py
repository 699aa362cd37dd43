"""Where the numbers of a run go."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from cnntrain.core import files, plain_json
from cnntrain.runs import folder

if TYPE_CHECKING:
    from torch import Tensor


class Sink(Protocol):
    """Somewhere that values go."""

    def log(self, step: int, values: Mapping[str, float]) -> None: ...

    def images(self, name: str, images: Tensor) -> None:
        """Images [batch, channels, height, width] with values in [0, 1]."""
        ...

    def hparams(self, settings: Mapping[str, Any], metrics: Mapping[str, float]) -> None: ...

    def close(self) -> None: ...


class JsonLines:
    """One JSON object a line: ``{"step": ..., "val/top1": ...}``, fractions as fractions."""

    def __init__(self, path: Path, step: int, epoch: int):
        self.unread: list[str] = []  # what was no line of a run's, but for one that a kill cut short
        if path.exists():
            files.write_atomic(path, b"".join(self._before(path.read_bytes(), step, epoch)))
        self.path = path
        self.file = open(path, "a", encoding="utf-8", buffering=1)  # noqa: SIM115 (closed by `close`)

    def _before(self, content: bytes, step: int, epoch: int) -> Iterator[bytes]:
        """The lines of a run that stands there."""
        for text in content.splitlines(keepends=True):
            try:
                values = folder.line(text)
            except ValueError:
                if text.endswith(b"\n"):
                    self.unread.append(text.decode(errors="replace").rstrip("\n"))
                continue
            if _is_before(values, step, epoch):
                yield text.rstrip(b"\n") + b"\n"

    def log(self, step: int, values: Mapping[str, float]) -> None:
        with files.writing(self.path):
            self.file.write(plain_json.text({"step": step, **values}) + "\n")

    def images(self, name: str, images: Tensor) -> None:
        """Numbers alone stand here."""

    def hparams(self, settings: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
        """A run's settings stand in its config.yaml."""

    def close(self) -> None:
        with files.writing(self.path):
            self.file.close()


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


def _is_before(values: Mapping[str, float | None], step: int, epoch: int) -> bool:
    """Whether a logged line belongs to a run that stands there; one without a step is not the run's own, and stays.

    The step alone would not do: a checkpoint written at an epoch's last step is from before the epoch's line. A line of
    the test is from after every checkpoint.
    """
    done = values.get("step") or 0, values.get("epoch") or 0
    return done[0] <= step and done[1] <= epoch and "test/loss" not in values
