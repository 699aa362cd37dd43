"""Finished runs side by side: grouped into curves and averaged. Imports nothing heavy."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import isfinite, nan
from typing import Any

from cnntrain.config.groups import known_keys
from cnntrain.core.errors import ConfigError
from cnntrain.core.keys import is_within
from cnntrain.core.words import suggest
from cnntrain.runs.history import AbsentError, Finished, is_number, text
from cnntrain.tasks.base import Column

PARTS = {"train": "training", "val": "validation", "test": "test"}
NAME = ".name"
WORDS = {"lr": "learning rate"}
# keys whose values change no number of a run
INDIFFERENT = (
    "output", "name", "resume", "data.num_workers", "data.resident", "data.resident_budget", "data.cache_dir",
    "data.download", "trainer.log_every", "trainer.watch", "checkpoint.every_steps", "checkpoint.time_share",
    "transfer.cache", "transfer.cache_dir", "transfer.cache_budget",
)  # fmt: skip
EPOCH = "epoch"  # the x that is no key of the configuration


@dataclass
class Point:
    """What the runs of a curve have at one x."""

    x: Any
    values: list[float]

    @property
    def mean(self) -> float:
        return statistics.fmean(self.values)

    @property
    def deviation(self) -> float | None:
        """Of the sample (n - 1); None for a single run."""
        if len(self.values) == 1:
            return None
        return statistics.stdev(self.values) if all(map(isfinite, self.values)) else nan

    @property
    def low(self) -> float:
        return min(self.values)

    @property
    def high(self) -> float:
        return max(self.values)


@dataclass
class Curve:
    """The points of one metric for one value of the curve's key, by ascending x."""

    label: str
    points: list[Point]


@dataclass
class Comparison:
    """What there is to show.

    Attributes:
        curves: for each metric.
        left_out: why, by the folder.
        averaged_over: keys in which runs differ that are averaged.
        notes: lines for the user.
        columns: of the runs' tasks, and their complements, by name.
    """

    curves: dict[str, list[Curve]]
    left_out: dict[str, str]
    averaged_over: list[str]
    notes: list[str] = field(default_factory=list)
    columns: dict[str, Column] = field(default_factory=dict)

    def column(self, metric: str) -> Column:
        """That of a metric such as ``val/error``; of one that no task has, such as ``lr``, one of its own name."""
        name = metric.rpartition("/")[2]
        return self.columns.get(name) or Column(name, name, WORDS.get(name, name))

    def label(self, metric: str) -> str:
        """``val/error`` is the validation error, in percent."""
        part, column = metric.rpartition("/")[0], self.column(metric)
        name = f"{PARTS[part]} {column.words}" if part in PARTS else column.words
        return f"{name} (%)" if column.percent else name


def chosen(runs: Sequence[Finished], where: Sequence[str]) -> list[Finished]:
    """The runs that meet every condition ``key=value``, the value as it is typed.

    Raises:
        ConfigError: a condition is none, no run has its key, or no run meets them all.
    """
    pairs = [each.partition("=")[::2] for each in where]
    _refuse_unknown([("where", key) for key, _ in pairs], _known_keys(runs))
    found = [run for run in runs if all(_is_so(run, key, value) for key, value in pairs)]
    if not found:
        there = (f"{key} is {', '.join(sorted(_values(runs, key)))}" for key in dict(pairs))
        raise ConfigError(f"where={','.join(where)}: no run is so; {'; '.join(there)}")
    return found


def _is_so(run: Finished, key: str, value: str) -> bool:
    try:
        return text(run.setting(key)) == value
    except AbsentError:
        return False


def _values(runs: Sequence[Finished], key: str) -> set[str]:
    return {text(run.setting(key)) for run in runs if key in _known_keys([run])}


def compare(
    runs: Sequence[Finished], x: str, metrics: Sequence[str], curve: str | None, average: Sequence[str] = ("seed",)
) -> Comparison:
    """Group runs by the keys `curve` and `x` (or ``epoch``), and by whatever else they differ in where they share both,
    and average each group.

    Args:
        average: keys, or groups of keys, that runs are averaged over.

    Raises:
        ConfigError: no run has such a key or metric, or all of them.
    """
    _check_names(runs, x, metrics, curve)
    known = _known_keys(runs) | set(known_keys())
    _refuse_unknown([("average", key) for key in average], known | {key.rpartition(".")[0] for key in known})
    columns = {each.name: each for run in runs for each in _with_complements(run.columns)}
    shown = Comparison({}, {}, [], columns=columns)
    asked: dict[str, dict[Any, list[Finished]]] = {}
    for run in runs:
        try:
            label = "" if curve is None else text(run.setting(curve))
            place = EPOCH if x == EPOCH else _hashable(run.setting(x))
            asked.setdefault(label, {}).setdefault(place, []).append(run)
        except AbsentError as absent:
            shown.left_out[str(run.folder)] = str(absent)
    cells = [cell for group in asked.values() for cell in group.values()]
    splitting = telling([key for key in differing(cells) if not is_within(key, average)], cells)
    groups: dict[str, dict[Any, list[Finished]]] = {}
    for label in ordered(asked):
        for place, run in ((place, run) for place, cell in asked[label].items() for run in cell):
            parts = [*([label] if label else []), *(f"{short(key)}={written(run, key)}" for key in splitting)]
            groups.setdefault(", ".join(parts) or "all", {}).setdefault(place, []).append(run)
    for metric in metrics:
        build = _by_epoch if x == EPOCH else _by_setting
        shown.curves[metric] = [build(label, group, metric, shown) for label, group in groups.items()]
        if not any(each.points for each in shown.curves[metric]):
            raise ConfigError(f"no run has all of {', '.join(each for each in (curve, x, metric) if each)}")
    shown.averaged_over = differing(cell for group in groups.values() for cell in group.values())
    shown.notes += _limits(runs, metrics)
    return shown


def _limits(runs: Sequence[Finished], metrics: Sequence[str]) -> list[str]:
    """A line on metrics of validation that not all images are in."""
    limits = sorted({run.val_limit for run in runs} - {""})
    limited = [metric for metric in metrics if metric.startswith("val/")]
    if not limits or not limited:
        return []
    return [f"{', '.join(limited)}: over {', '.join(limits)} images of validation (trainer.val_limit)"]


def _with_complements(columns: Iterable[Column]) -> Iterator[Column]:
    for each in columns:
        yield each
        if each.complementary is not None:
            yield each.complementary


def _check_names(runs: Sequence[Finished], x: str, metrics: Sequence[str], curve: str | None) -> None:
    keys = _known_keys(runs)
    known = set().union(*(run.metrics(x == EPOCH) for run in runs))
    problems = [
        f"{option}={key} is no key of these runs{suggest(key, {*keys, *extra})}"
        for option, key, extra in (("x", x, [EPOCH]), ("curve", curve, []))
        if key is not None and key not in keys and key not in extra
    ]
    for metric in metrics:
        if metric in known:
            continue
        if any(metric in run.metrics(by_epoch=False) for run in runs):
            problems.append(f"y={metric} is measured at the end only, not by epoch: give x=<key>, such as x=seed")
        else:
            hint = suggest(metric, known) or f"; they have {', '.join(sorted(known))}"
            problems.append(f"y={metric} is no metric of these runs{hint}")
    if problems:
        raise ConfigError(*problems)


def _known_keys(runs: Sequence[Finished]) -> set[str]:
    keys = {key for run in runs for key in run.config}
    return keys | {short(key) for key in keys}


def _refuse_unknown(asked: Sequence[tuple[str, str]], keys: set[str]) -> None:
    problems = [
        f"{option}={key} is no key of these runs{suggest(key, keys)}" for option, key in asked if key not in keys
    ]
    if problems:
        raise ConfigError(*problems)


def _by_epoch(label: str, group: dict[Any, list[Finished]], metric: str, shown: Comparison) -> Curve:
    """A curve to the last epoch that all its runs have, so that every point is the mean of the same runs."""
    measured = {str(run.folder): run.curve(metric) for run in group[EPOCH]}
    shown.left_out.update({name: f"has no {metric}" for name, values in measured.items() if not values})
    series = [values for values in measured.values() if values]
    common = sorted(set.intersection(*map(set, series))) if series else []
    if common and any(max(each) > common[-1] for each in series):
        note = f"{label}: drawn to epoch {common[-1]}, where the first of its {len(series)} runs ended"
        shown.notes += [note] if note not in shown.notes else []
    return Curve(label, [Point(epoch, [each[epoch] for each in series]) for epoch in common])


def _by_setting(label: str, group: dict[Any, list[Finished]], metric: str, shown: Comparison) -> Curve:
    points = []
    for x in ordered(group):
        values = []
        for run in group[x]:
            try:
                values.append(run.final(metric))
            except AbsentError as absent:
                shown.left_out[str(run.folder)] = str(absent)
        if values:
            points.append(Point(x, values))
    return Curve(label, points)


def differing(cells: Iterable[list[Finished]]) -> list[str]:
    """The keys in which runs differ that share a cell."""
    keys = set()
    for cell in cells:
        for key in {key for run in cell for key in run.config}.difference(INDIFFERENT):
            if len({written(run, key) for run in cell}) > 1:
                keys.add(key)
    return sorted(keys)


def telling(keys: Sequence[str], cells: Iterable[list[Finished]]) -> list[str]:
    """Of the keys in which runs differ as few as tell the same runs apart, names of choices before their settings."""
    found: list[str] = []
    parts = [cell for cell in cells if len(cell) > 1]
    for key in sorted(keys, key=lambda each: (not each.endswith(NAME), each)):
        finer = [each for part in parts for each in _parted(part, key)]
        if len(finer) > len(parts):
            found.append(key)
            parts = finer
    return found


def _parted(runs: Sequence[Finished], key: str) -> list[list[Finished]]:
    parts: dict[str, list[Finished]] = {}
    for run in runs:
        parts.setdefault(written(run, key), []).append(run)
    return list(parts.values())


def written(run: Finished, key: str) -> str:
    return text(run.config.get(key))


def short(key: str) -> str:
    """``data`` for ``data.name``, as it is typed."""
    return key.removesuffix(NAME)


def ordered(values: Iterable[Any]) -> list[Any]:
    """Numbers ascending, then the rest in the order of the runs."""
    return sorted(values, key=lambda value: (0, float(value)) if _reads_as_number(value) else (1, 0.0))


def _reads_as_number(value: Any) -> bool:
    try:
        return float(value) == float(value)
    except ValueError:
        return False


def _hashable(value: Any) -> Any:
    return value if is_number(value) else text(value)
