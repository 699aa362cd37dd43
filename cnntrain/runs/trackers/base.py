"""What a tracker is told of a run, those that need a package of their own, and going on without one that fails."""

from __future__ import annotations

import importlib
import importlib.util
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnntrain.core import files, plain_json
from cnntrain.core.errors import ConfigError, InputError, StopError
from cnntrain.core.words import LINE, printable
from cnntrain.runs.sinks import Sink

if TYPE_CHECKING:
    from torch import Tensor

NAMES = "trackers.json"  # what services call this run, so that a resume goes on with it
PACKAGES = {"wandb": "wandb", "mlflow": "mlflow"}  # trackers that need one, which may fail where the run need not


@dataclass(frozen=True)
class Log:
    """A run that is logged.

    Attributes:
        step: optimizer steps that are done.
        epoch: whole epochs that are done.
        project: under which services put the run.
        online: whether anything may leave this machine.
        settings: by dotted keys.
    """

    folder: Path
    step: int
    epoch: int
    project: str
    online: bool
    settings: Mapping[str, Any]

    @property
    def name(self) -> str:
        return f"{self.folder.parent.name}/{self.folder.name}"

    def run_id(self, tracker: str, make: Callable[[], str] = lambda: uuid.uuid4().hex[:16]) -> str:
        """What a service calls this run: made once, and kept in the run's folder.

        Raises:
            InputError: the file that keeps it is damaged.
            RunError: it cannot be written.
        """
        path = self.folder / NAMES
        try:
            kept: dict[str, str] = plain_json.read(path.read_bytes(), dict[str, str]) if path.exists() else {}
        except (OSError, ValueError) as error:
            raise InputError(f"{path} cannot be read ({error}): remove it, and the log begins anew") from error
        if tracker not in kept:
            kept[tracker] = make()
            files.write_atomic(path, plain_json.text(kept).encode())
        return kept[tracker]


def require(trackers: Sequence[str]) -> None:
    """Raise ConfigError for those whose packages are not installed."""
    missing = [name for name in trackers if name in PACKAGES and importlib.util.find_spec(PACKAGES[name]) is None]
    if missing:
        raise ConfigError(
            *(f'report.trackers: {name} is not installed: pip install "cnntrain[{name}]"' for name in missing)
        )


def sinks(trackers: Sequence[str], log: Log, say: Callable[[str], None]) -> list[Sink]:
    """A sink for each tracker; those of packages are given up with a warning where they fail."""
    return [_sink(name, log, say) for name in trackers]


def _sink(name: str, log: Log, say: Callable[[str], None]) -> Sink:
    opened: Callable[[Log], Sink] = importlib.import_module(f"cnntrain.runs.trackers.{name}").opened
    return Expendable(name, lambda: opened(log), say) if name in PACKAGES else opened(log)


class Expendable:
    """A sink that a run does without from its first failure on."""

    def __init__(self, name: str, make: Callable[[], Sink], say: Callable[[str], None]):
        self.name, self.say = name, say
        self.sink: Sink | None = None
        with self._given_up():
            self.sink = make()

    def log(self, step: int, values: Mapping[str, float]) -> None:
        with self._given_up():
            if self.sink is not None:
                self.sink.log(step, values)

    def images(self, name: str, images: Tensor) -> None:
        with self._given_up():
            if self.sink is not None:
                self.sink.images(name, images)

    def layers(self, step: int, scalars: Mapping[str, float], histograms: Mapping[str, Tensor]) -> None:
        with self._given_up():
            if self.sink is not None:
                self.sink.layers(step, scalars, histograms)

    def hparams(self, settings: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
        with self._given_up():
            if self.sink is not None:
                self.sink.hparams(settings, metrics)

    def close(self) -> None:
        with self._given_up():
            if self.sink is not None:
                self.sink.close()

    @contextmanager
    def _given_up(self) -> Iterator[None]:
        try:
            yield
        except StopError:
            raise
        except Exception as error:  # a service, a login or a package of somebody else's may fail in any way
            self.sink = None
            reason = printable(f"{type(error).__name__}: {error}", LINE)
            self.say(f"warning: {self.name} is given up, and the run goes on without it: {reason}")
