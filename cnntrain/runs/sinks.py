"""Where the numbers of a run go."""

from __future__ import annotations

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

    def layers(self, step: int, scalars: Mapping[str, float], histograms: Mapping[str, Tensor]) -> None:
        """Of each layer numbers, and values that a histogram is made of, by ``<what>/<layer>``."""
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
            if is_before(values, step, epoch):
                yield text.rstrip(b"\n") + b"\n"

    def log(self, step: int, values: Mapping[str, float]) -> None:
        with files.writing(self.path):
            self.file.write(plain_json.text({"step": step, **values}) + "\n")

    def images(self, name: str, images: Tensor) -> None:
        """Numbers alone stand here."""

    def layers(self, step: int, scalars: Mapping[str, float], histograms: Mapping[str, Tensor]) -> None:
        """Metrics of the run alone stand here."""

    def hparams(self, settings: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
        """A run's settings stand in its config.yaml."""

    def close(self) -> None:
        with files.writing(self.path):
            self.file.close()


def is_before(values: Mapping[str, float | None], step: int, epoch: int) -> bool:
    """Whether a logged line belongs to a run that stands there; one without a step is not the run's own, and stays.

    The step alone would not do: a checkpoint written at an epoch's last step is from before the epoch's line. A line of
    the test is from after every checkpoint.
    """
    done = values.get("step") or 0, values.get("epoch") or 0
    return done[0] <= step and done[1] <= epoch and "test/loss" not in values
