"""Where the numbers of a run go."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from cnntrain.core import files, plain_json

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
        if path.exists():
            kept = [line for line in path.read_text(encoding="utf-8").splitlines() if _is_before(line, step, epoch)]
            files.write_atomic(path, "".join(f"{line}\n" for line in kept).encode())
        self.file = open(path, "a", encoding="utf-8", buffering=1)  # noqa: SIM115 (closed by `close`)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self.file.write(plain_json.text({"step": step, **values}) + "\n")

    def images(self, name: str, images: Tensor) -> None:
        """Numbers alone stand here."""

    def hparams(self, settings: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
        """A run's settings stand in its config.yaml."""

    def close(self) -> None:
        self.file.close()


class TensorBoard:
    """Scalars, images and hyperparameters for TensorBoard."""

    def __init__(self, folder: Path, step: int):
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(folder), purge_step=step + 1 if step else None)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

    def images(self, name: str, images: Tensor) -> None:
        from torchvision.utils import make_grid

        self.writer.add_image(name, make_grid(images.cpu(), nrow=8), 0)

    def hparams(self, settings: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
        self.writer.add_hparams(dict(settings), dict(metrics), run_name=".")

    def close(self) -> None:
        self.writer.close()


def _is_before(line: str, step: int, epoch: int) -> bool:
    """Whether a logged line belongs to a run that stands there; a line cut short by a kill does not.

    The step alone would not do: a checkpoint written at an epoch's last step is from before the epoch's line. A line of
    the test is from after every checkpoint.
    """
    try:
        values = json.loads(line)
    except ValueError:
        return False
    return values["step"] <= step and values.get("epoch", 0) <= epoch and "test/loss" not in values
