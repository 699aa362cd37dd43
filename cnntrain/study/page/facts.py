"""What a run's folder says, finished or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnntrain.core.keys import flat
from cnntrain.core.lock import in_use
from cnntrain.runs import folder as folders
from cnntrain.runs import history, predictions
from cnntrain.runs.predictions import PREDICTIONS, Predictions
from cnntrain.study.evaluation import folder as evaluations
from cnntrain.study.evaluation.folder import EVALUATION
from cnntrain.tasks.base import Column
from cnntrain.tasks.classify import COLUMNS, OF_ALL
from cnntrain.tasks.multilabel import COLUMNS as OF_SEVERAL

JUDGED = ("test", "val")  # the first of these parts that there are answers to is shown


@dataclass(frozen=True)
class Facts:
    """A run.

    Attributes:
        tree: the configuration.
        result: what ``result.json`` holds; empty where the run has not ended.
        epochs: the metrics of each, under its number.
        answers: to the images of `part`; None where there are none.
        evaluations: by the names of their folders what ``eval.json`` holds.
    """

    folder: Path
    tree: Mapping[str, Any]
    result: Mapping[str, Any]
    status: str
    commands: Sequence[Mapping[str, Any]]
    epochs: Mapping[int, Mapping[str, float]]
    columns: Sequence[Column]
    part: str
    answers: Predictions | None
    evaluations: Mapping[str, Mapping[str, Any]]

    @property
    def config(self) -> dict[str, Any]:
        """Dotted keys to values."""
        return flat(self.tree)


def read(folder: Path, answers: Predictions | None = None) -> Facts:
    """Args:
        answers: to the part that is shown, where they are at hand; None: they are read.

    Raises:
        InputError: a file of the run is damaged.
        ConfigError: the folder is no run's.
    """
    tree, ended = folders.config(folder), folders.result(folder)
    epochs = history.epochs_of(folder, ended is None) if (folder / folders.METRICS).is_file() else {}
    part = next((each for each in JUDGED if (folder / each / PREDICTIONS).is_file()), None)
    if part is not None and answers is None:
        answers = predictions.read(folder / part / PREDICTIONS)
    return Facts(
        folder=folder,
        tree=tree,
        result=ended or {},
        status=str(ended.get("status")) if ended else "under way" if in_use(folder) else "not ended",
        commands=folders.commands(folder),
        epochs=epochs,
        columns=_known(epochs) if ended is None else history.columns(ended),
        part=part or "",
        answers=answers,
        evaluations={
            path.parent.name: evaluations.read(path.parent) for path in sorted(folder.glob(f"*/{EVALUATION}"))
        },
    )


def _known(epochs: Mapping[int, Mapping[str, float]]) -> list[Column]:
    """Of a run that has not ended those columns that its epochs have."""
    names = {name.partition("/")[2] for values in epochs.values() for name in values}
    several = "map" in names
    *shown, loss = OF_SEVERAL if several else (*COLUMNS[:-1], *OF_ALL, COLUMNS[-1])
    return [*(each for each in shown if each.name in names), loss]
