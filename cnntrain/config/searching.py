"""The keys of a command that trains networks which nobody keeps, to choose among many, or to see how they learn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Self

from cnntrain.config import since
from cnntrain.config.resume import EXACT
from cnntrain.config.schema import TrainConfig
from cnntrain.core.keys import flat, is_within
from cnntrain.core.words import snake_case


@dataclass(frozen=True)
class Searching(TrainConfig):
    """Takes the keys of a training, which are those of each that it trains.

    `free` are the keys that may change from one call to the next in the same folder; `chooses` says whether the best
    by ``checkpoint.metric`` is looked for.
    """

    free: ClassVar[frozenset[str]] = frozenset({"output"}) | EXACT - {"trainer.epochs", "trainer.early_stopping"}

    chooses: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        command = snake_case(type(self).__name__)
        if self.resume is not None:
            raise ValueError(f"resume has no meaning for cnntrain {command}: the same command goes on in its folder")
        if self.devices > 1:
            raise ValueError(f"devices={self.devices}: cnntrain {command} is one process, leave it out")
        if self.transfer.side_by_side:
            raise ValueError(f"transfer={self.transfer.name} trains networks side by side; here one is judged")

    def settled(self) -> Self:
        config = super().settled()
        name = config.checkpoint.metric
        column = None if name is None else config.task.column(name)
        if self.chooses and column is not None and not column.greater_is_better:
            raise ValueError(f"checkpoint.metric={name}: a search looks for the greatest value, such as of an accuracy")
        return config

    def place(self, default: str) -> Path:
        """The folder, by `name` or else `default`."""
        return Path(self.output) / (self.name or default)

    def training(self) -> TrainConfig:
        """The keys of a training alone."""
        return TrainConfig(**{each.name: getattr(self, each.name) for each in fields(TrainConfig)})

    def fixed(self) -> Mapping[str, Any]:
        """The keys, dotted, on which what a search finds depends."""
        return {key: value for key, value in flat(asdict(self)).items() if not is_within(key, self.free)}

    def defaults(self) -> Mapping[str, Any]:
        """The keys, dotted, where nothing but choices is typed: what a search from before a key was done with."""
        return flat(since.defaults(asdict(self), snake_case(type(self).__name__)))


def shown(value: float | None) -> str:
    """The value of a training for people."""
    return "no number" if value is None else f"{value:.4f}"
