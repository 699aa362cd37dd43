"""What the runs of a k-fold cross-validation come to: of each metric mean and deviation, and of all test samples an
accuracy with its interval."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, nan
from pathlib import Path
from typing import Any

from cnntrain.core import plain_json
from cnntrain.core.files import write_atomic
from cnntrain.core.intervals import of_proportion
from cnntrain.core.tables import table
from cnntrain.runs import folder as folders
from cnntrain.runs import history, predictions
from cnntrain.study.comparison import INDIFFERENT
from cnntrain.tasks.base import Column

FOLDS = "folds.json"
FOLD = "data.fold"


@dataclass(frozen=True)
class Validated:
    """The finished runs of one configuration, by fold.

    Attributes:
        differs: the keys in which it differs from the others of its sweep.
        folds: how many there are, finished or not.
    """

    differs: Mapping[str, Any]
    folds: int
    runs: Mapping[int, history.Finished]

    @property
    def missing(self) -> list[int]:
        """Folds that no run has finished."""
        return [fold for fold in range(self.folds) if fold not in self.runs]

    @property
    def columns(self) -> Sequence[Column]:
        return next(iter(self.runs.values())).columns

    def values(self, metric: str) -> list[float]:
        """A metric of the best epoch, or of the test, by ascending fold; nan where a run has none."""
        found = [{**run.epochs.get(run.best, {}), **run.test}.get(metric, nan) for run in self.runs.values()]
        return found if any(map(isfinite, found)) else []

    def pooled(self) -> dict[str, Any] | None:
        """Of the test samples of all folds together, each of which is in one fold: the shares that are right, with
        their intervals. None where a sample is in several, as after a change of the data.

        The interval takes the samples as independent; networks that share most of their training images are not quite,
        so it is rather too narrow (Bengio and Grandvalet 2004).
        """
        ids = [id_ for run in self.runs.values() for id_ in predictions.read(_answers(run)).ids]
        if len(set(ids)) < len(ids):
            return None
        tests = [(folders.result(run.folder) or {})["test"] for run in self.runs.values()]
        shares = {}
        for each in (each for each in self.columns if each.is_share):
            right = sum(round(test[each.name] * test["count"]) for test in tests)
            shares[each.name] = {"value": right / len(ids), "interval": of_proportion(right / len(ids), len(ids))}
        return {"count": len(ids), **shares}

    def written(self) -> dict[str, Any]:
        """What `FOLDS` holds of it."""
        rows = {metric: self.values(metric) for metric in self._metrics()}
        return {
            "differs": dict(self.differs),
            "folds": self.folds,
            "missing": self.missing,
            "runs": [{"fold": fold, "run_dir": str(run.folder)} for fold, run in self.runs.items()],
            "metrics": {
                metric: {"mean": statistics.fmean(values), "deviation": _deviation(values), "values": values}
                for metric, values in rows.items()
                if values
            },
            "pooled": self.pooled(),
        }

    def _metrics(self) -> list[str]:
        return [f"{part}/{column.name}" for column in self.columns for part in ("val", "test")]


def validated(runs: Sequence[Path]) -> list[Validated]:
    """The cross-validations among finished runs: those of one configuration, but for the fold, if there are several."""
    groups: dict[str, dict[int, history.Finished]] = {}
    for run in (history.read(str(place))[0][0] for place in dict.fromkeys(runs)):
        if run.config.get("data.folds") is not None:
            groups.setdefault(plain_json.text(_same(run)), {})[run.config[FOLD]] = run
    several = [dict(sorted(found.items())) for found in groups.values() if len(found) > 1]
    configs = [_same(next(iter(found.values()))) for found in several]
    keys = [key for key in dict.fromkeys(key for each in configs for key in each) if _differs(key, configs)]
    return [
        Validated({key: config[key] for key in keys if key in config}, config["data.folds"], found)
        for config, found in zip(configs, several, strict=True)
    ]


def shown(each: Validated) -> str:
    """A table for people, with a line on all test samples."""
    written = each.written()
    title = f"{len(each.runs)} of {each.folds} folds"
    differs = " ".join(f"{key}={history.text(value)}" for key, value in each.differs.items())
    rows = []
    for column in each.columns:
        for part in ("val", "test"):
            found = written["metrics"].get(f"{part}/{column.name}")
            if found is not None:
                deviation = found["deviation"]
                cells = [column.text(value) for value in (found["mean"], *found["values"])]
                rows.append([f"{part} {column.title}", cells[0], column.text(deviation), *cells[1:]])
    folds = [f"fold {fold}" for fold in each.runs]
    lines = [table(f"{title}{f', {differs}' if differs else ''}", ["", "mean", "deviation", *folds], rows, left=[""])]
    pooled = written["pooled"]
    if pooled is None:
        lines.append("note: a sample was tested in several folds, so no accuracy of all is told: has the data changed?")
    else:
        lines += [_pooled(column, pooled) for column in each.columns if column.is_share]
    if each.missing:
        lines.append(f"note: no run has finished fold {', '.join(map(str, each.missing))}")
    return "\n".join(lines)


def write(place: Path, found: Sequence[Validated]) -> Path:
    """Write ``folds.json`` into a sweep's folder.

    Raises:
        RunError: the disk is full or cannot be written.
    """
    place.mkdir(parents=True, exist_ok=True)
    content = {"cross_validations": [each.written() for each in found]}
    write_atomic(place / FOLDS, plain_json.text(content, indent=2).encode())
    return place / FOLDS


def _pooled(column: Column, pooled: Mapping[str, Any]) -> str:
    found = pooled[column.name]
    low, high = map(column.text, found["interval"])
    count = pooled["count"]
    value = column.text(found["value"])
    return f"{column.words} of the {count:,} test samples, each judged once: {value} [{low}, {high}]"


def _deviation(values: Sequence[float]) -> float:
    """Of the sample (n - 1)."""
    return statistics.stdev(values) if all(map(isfinite, values)) else nan


def _same(run: history.Finished) -> dict[str, Any]:
    """The configuration without the fold, and what changes no number."""
    return {key: value for key, value in run.config.items() if key != FOLD and key not in INDIFFERENT}


def _differs(key: str, configs: Sequence[Mapping[str, Any]]) -> bool:
    return len({plain_json.text(each.get(key)) for each in configs}) > 1


def _answers(run: history.Finished) -> Path:
    return run.folder / "test" / predictions.PREDICTIONS
