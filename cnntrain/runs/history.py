"""A run, read back from its folder. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from glob import glob
from pathlib import Path
from typing import Any

from cnntrain.core.errors import InputError
from cnntrain.core.keys import flat
from cnntrain.core.lock import in_use
from cnntrain.core.words import some_of
from cnntrain.runs import folder as folders
from cnntrain.runs import swept
from cnntrain.tasks.base import Column
from cnntrain.tasks.classify import COLUMNS

NO_METRICS = {"epoch", "step"}  # keys of metrics.jsonl


class AbsentError(Exception):
    """A run has no value for what is asked; the message says what."""


@dataclass(frozen=True)
class Finished:
    """A finished run, or as much as there is of one that is not.

    Attributes:
        config: dotted keys to values.
        epochs: metrics by epoch.
        best: the epoch of the best checkpoint.
        test: metrics of the test, ``test/top1`` and so on; empty where there was none.
        columns: of the run's task.
        val_limit: in words, how many of the validation images epochs were judged by; empty where by all.
        unfinished: why it is not finished; empty where it is.
    """

    folder: Path
    config: dict[str, Any]
    epochs: dict[int, dict[str, float]]
    best: int
    test: dict[str, float]
    columns: Sequence[Column]
    val_limit: str = ""
    unfinished: str = ""

    def setting(self, key: str) -> Any:
        """The value of a key of the configuration; of a group such as ``model`` its name."""
        for each in (key, f"{key}.name"):
            if each in self.config:
                return self.config[each]
        raise AbsentError(f"has no key {key}")

    def curve(self, metric: str) -> dict[int, float]:
        """A metric by epoch, where it was measured."""
        values = {epoch: self._value(measured, metric) for epoch, measured in self.epochs.items()}
        return {epoch: value for epoch, value in values.items() if value is not None}

    def final(self, metric: str) -> float:
        """A metric of the test or of the best epoch."""
        value = self._value({**self.epochs.get(self.best, {}), **self.test}, metric)
        if value is None:
            raise AbsentError(f"has no {metric}")
        return value

    def metrics(self, by_epoch: bool) -> set[str]:
        """Names that `curve`, or else `final`, knows."""
        measured = {name for values in self.epochs.values() for name in values}
        names = measured if by_epoch else measured | set(self.test)
        parts = [name.rpartition("/") for name in names]
        complements = {each.name: each.complement for each in self.columns if each.complement is not None}
        return names | {f"{part}/{complements[name]}" for part, _, name in parts if name in complements}

    def _value(self, measured: Mapping[str, float], metric: str) -> float | None:
        part, _, name = metric.rpartition("/")
        for column in self.columns:
            if column.complement == name and (value := measured.get(f"{part}/{column.name}")) is not None:
                return 1 - value
        return measured.get(metric)


def read(
    where: str, columns: Callable[[Mapping[str, Any]], Sequence[Column]] | None = None, hint: str = ""
) -> tuple[list[Finished], dict[str, str]]:
    """The finished runs below a folder or below those that a pattern matches, and why others are left out.

    Args:
        columns: of a run that has not ended, from its configuration; None: only finished runs are read.
        hint: what is to be done where all runs are left out.

    Raises:
        InputError: there is no such folder, no run to read, or a file of one is damaged.
    """
    folder = Path(where)
    roots = [folder] if folder.is_dir() else [Path(each) for each in glob(where, recursive=True)]
    if not roots:
        raise InputError(f"runs={where}: there is no such folder")
    finished, left_out = [], {}
    for each in sorted({run for root in roots for run in swept.below(root)}):
        reason = _unfinished(each)
        if reason is None:
            finished.append(_read(each))
        elif columns is not None and _has_epochs(each):
            finished.append(_begun(each, reason, columns))
        else:
            left_out[str(each)] = reason
    if not finished:
        states = "".join(f"\n  {name}: {reason}" for name, reason in left_out.items())
        hint = f"\n{hint}" if hint and left_out else ""
        what = "finished run" if columns is None else "run that has done an epoch"
        raise InputError(f"runs={where}: there is no {what}{states}{hint}")
    return finished, left_out


def _unfinished(folder: Path) -> str | None:
    """Why a run cannot be compared, or None."""
    ended = folders.result(folder)
    if ended is None:
        return "under way" if in_use(folder) else "has not ended"
    status = str(ended.get("status"))
    return None if status == "finished" else f"{status}: {ended['error']}" if "error" in ended else status


def _has_epochs(folder: Path) -> bool:
    return (folder / folders.METRICS).is_file() and bool(epochs_of(folder, growing=True))


def epochs_of(folder: Path, growing: bool) -> dict[int, dict[str, float]]:
    """The metrics of each epoch that is done; see `folder.metrics`."""
    lines = [line for line in folders.metrics(folder, growing) if "epoch" in line]
    return {int(line["epoch"]): {k: v for k, v in line.items() if k not in NO_METRICS} for line in lines}


def _begun(folder: Path, reason: str, columns: Callable[[Mapping[str, Any]], Sequence[Column]]) -> Finished:
    tree, epochs = folders.config(folder), epochs_of(folder, growing=True)
    return Finished(folder, flat(tree), epochs, max(epochs), {}, columns(tree), unfinished=reason)


def _read(folder: Path) -> Finished:
    ended = folders.result(folder)
    assert ended is not None, "a finished run has one"
    epochs = epochs_of(folder, growing=False)
    tested = folders.numbers(ended.get("test") or {})
    test = {f"test/{name}": value for name, value in tested.items() if name != "count"}
    best = (ended.get("best") or {}).get("epoch", 0)
    val = ended.get("val") or {}
    limited = some_of(val.get("count", 0), val.get("of"))
    return Finished(folder, flat(folders.config(folder)), epochs, best, test, columns(ended), limited)


def columns(ended: Mapping[str, Any]) -> Sequence[Column]:
    """Those of the task of a run, from its ``result.json``."""
    task = ended.get("task")  # runs of 0.1 do not tell: all of them classified
    return [_column(each) for each in task["columns"]] if task else COLUMNS


def _column(written: Mapping[str, Any]) -> Column:
    """One of ours, without what a later version may have added to it."""
    return Column(**{each.name: written[each.name] for each in fields(Column) if each.name in written})


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def text(value: Any) -> str:
    """A value of the configuration as it is typed."""
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
