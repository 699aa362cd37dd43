"""What a run's folder says, finished or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnntrain.config import imports, since
from cnntrain.config.schema import TrainConfig
from cnntrain.config.search_path import looking
from cnntrain.core.errors import UserError
from cnntrain.core.keys import flat
from cnntrain.core.lock import in_use
from cnntrain.data.base import DIMENSIONS
from cnntrain.runs import counts, history, sheet
from cnntrain.runs import folder as folders
from cnntrain.runs.counts import Given
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
        answers: to the samples of `part`; None where there are none.
        sheets: of made images, by epoch.
        dimensions: of a sample.
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
    answers: Given | None
    sheets: Mapping[int, Path]
    dimensions: int
    evaluations: Mapping[str, Mapping[str, Any]]

    @property
    def samples(self) -> str:
        """What they are called."""
        return DIMENSIONS[self.dimensions]

    @property
    def config(self) -> dict[str, Any]:
        """Dotted keys to values."""
        return flat(self.tree)


def read(folder: Path, answers: Given | None = None) -> Facts:
    """Args:
        answers: to the part that is shown, where they are at hand; None: they are read.

    Raises:
        InputError: a file of the run is damaged.
        ConfigError: the folder is no run's.
    """
    tree, ended = folders.config(folder), folders.result(folder)
    epochs = history.epochs_of(folder, ended is None) if (folder / folders.METRICS).is_file() else {}
    asked = _asked(folder, tree)
    part = next((each for each in JUDGED if counts.has_left(folder / each)), None)
    if part is not None and answers is None:
        answers = counts.left(folder / part)
    return Facts(
        folder=folder,
        tree=tree,
        result=ended or {},
        status=str(ended.get("status")) if ended else "under way" if in_use(folder) else "not ended",
        commands=folders.commands(folder),
        epochs=epochs,
        columns=_columns(asked, epochs) if ended is None else history.columns(ended),
        part=part or "",
        answers=answers,
        sheets=sheet.sheets(folder),
        dimensions=2 if asked is None else asked.data.dimensions,
        evaluations={
            path.parent.name: evaluations.read(path.parent) for path in sorted(folder.glob(f"*/{EVALUATION}"))
        },
    )


def _asked(folder: Path, tree: Mapping[str, Any]) -> TrainConfig | None:
    """The configuration; None where it needs code of the user's that is not here, or is of another version."""
    try:
        imports.check(folders.imports(folder), str(folder))
        with looking():
            return since.checked(tree)[0]
    except UserError:
        return None


def _columns(asked: TrainConfig | None, epochs: Mapping[int, Mapping[str, float]]) -> list[Column]:
    """Of a run that has not ended; where its task is not known those that its epochs have."""
    if asked is not None:
        return [*asked.task.columns]
    names = {name.partition("/")[2] for values in epochs.values() for name in values}
    several = "map" in names
    *shown, loss = OF_SEVERAL if several else (*COLUMNS[:-1], *OF_ALL, COLUMNS[-1])
    return [*(each for each in shown if each.name in names), loss]
