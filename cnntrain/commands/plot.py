"""``cnntrain plot``: metrics of runs, or a schedule before there is one, as a picture and as a table. Of runs nothing
imports torch."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cnntrain.config import since
from cnntrain.config.model import Model
from cnntrain.config.schema import Command, Ended, Trainer
from cnntrain.core import plain_json, tables
from cnntrain.core.errors import ConfigError, InputError, RunError
from cnntrain.core.files import write_atomic
from cnntrain.core.limits import Count, Place
from cnntrain.core.words import LINE, printable, tell
from cnntrain.optim.base import Optim
from cnntrain.runs import history
from cnntrain.schedule.base import Schedule
from cnntrain.study import comparison
from cnntrain.study.comparison import EPOCH, Comparison, Point
from cnntrain.tasks.base import Column
from cnntrain.tasks.classify import COLUMNS
from cnntrain.transfer.base import Transfer

OF_SCHEDULES = ("schedule", "optim", "trainer", "transfer", "model", "steps")
OF_RUNS = ("runs", "x", "y", "curve", "average", "where", "y_range", "unfinished")
PICTURES = (".png", ".svg", ".pdf")


@dataclass(frozen=True)
class Plot(Command):
    runs: Place  # a folder, or a pattern of folders
    x: str  # epoch, or a key of the runs' configurations
    y: list[str]  # metrics, a panel each
    curve: str | None  # a key of the runs' configurations
    average: list[str]  # keys of the runs' configurations, or groups of them
    where: str | None  # key=value of the runs' configurations, or several such with commas between them
    unfinished: bool  # whether runs that have not finished are drawn, too
    y_range: list[float] | None  # as on the axis
    title: str | None
    output: Place | None
    format: Literal["table", "markdown", "json"]
    schedule: Schedule | None  # drawn instead of runs
    optim: Optim
    trainer: Trainer
    transfer: Transfer
    model: Model
    steps: Count  # of an epoch

    def __post_init__(self) -> None:
        if not self.y or len(set(self.y)) < len(self.y):
            raise ValueError(f"y must name each metric to draw once, not {self.y}")
        if self.where is not None and not all("=" in each for each in self.conditions):
            raise ValueError(f"where must be conditions such as data=digits or seed=0,optim.lr=0.1, not {self.where}")
        if self.y_range is not None and (len(self.y_range) != 2 or self.y_range[0] >= self.y_range[1]):
            raise ValueError(f"y_range must be the axis's least and most, such as [0,20], not {self.y_range}")
        if self.output is not None and not self.output.lower().endswith(PICTURES):
            raise ValueError(f"output must end in one of {', '.join(PICTURES)}, not {self.output}")
        if self.unfinished and self.x != EPOCH:
            raise ValueError(f"unfinished=true goes with x={EPOCH}: what a run has not yet tested has no {self.x}")

    @property
    def conditions(self) -> list[str]:
        """Those of `where`; a comma that no key follows belongs to a value."""
        return [] if self.where is None else re.split(r",(?=[\w.]+=)", self.where)

    def execute(self, typed: Sequence[str]) -> Ended:
        """Draw what is asked for, print its numbers, and end with the picture's path.

        Raises:
            ConfigError: keys of runs and keys of a schedule are typed together.
        """
        wrong = OF_SCHEDULES if self.schedule is None else OF_RUNS
        found = [each for each in typed if re.split(r"[.=]", each, maxsplit=1)[0] in wrong]
        if self.schedule is None:
            if found:
                raise ConfigError(f"{', '.join(found)}: to draw a schedule before a run, add schedule=<name>")
            return self._draw_runs()
        if found:
            raise ConfigError(f"{', '.join(found)}: schedule={self.schedule.name} is drawn without runs: leave it out")
        return self._draw_schedule(self.schedule)

    def _draw_schedule(self, schedule: Schedule) -> Ended:
        from cnntrain.study import curves, schedules

        path = Path("schedule.png" if self.output is None else self.output)
        if not path.parent.is_dir():
            raise InputError(f"output={path}: there is no folder {path.parent}")
        found = schedules.rates(schedule, self.optim.lr, self.trainer, self.transfer, self.model, self.steps)
        title = self.title or f"schedule={schedule.name}, optim.lr={self.optim.lr:g}, transfer={self.transfer.name}"
        write_atomic(path, curves.picture(schedules.figure(found, title), path.suffix[1:].lower()))
        if self.format == "json":
            print(plain_json.text({**found.facts(), "output": str(path)}, indent=2))
            return Ended()
        draw = tables.table if self.format == "table" else tables.markdown
        print(draw("learning rate", schedules.COLUMNS, found.rows(), schedules.COLUMNS[:1]))
        for each in found.notes:
            tell(each)
        return Ended(made=str(path))

    def _draw_runs(self) -> Ended:
        from cnntrain.study import curves  # brings matplotlib in

        hint = "" if self.unfinished else "unfinished=true draws those, too"
        runs, unfinished = history.read(self.runs, _columns if self.unfinished else None, hint)
        runs = comparison.chosen(runs, self.conditions)
        shown = comparison.compare(runs, self.x, self.y, self.curve, self.average)
        shown.left_out = {**unfinished, **shown.left_out}
        begun = [each for each in runs if each.unfinished]
        shown.notes += [f"{each.folder}: {each.unfinished}, epochs that are done: {max(each.epochs)}" for each in begun]
        path = _place(self)
        drawn = curves.figure(shown, self.x, _title(self, shown), self.curve, self.y_range)
        try:
            write_atomic(path, curves.picture(drawn, path.suffix[1:].lower()))
        except RunError as error:
            raise InputError(f"output={path}: {error}") from error
        if self.format == "json":
            print(plain_json.text(_facts(self, shown, path), indent=2))
            return Ended()
        draw = tables.table if self.format == "table" else tables.markdown
        for title, columns, rows in _tables(self, shown):
            print(draw(title, columns, rows, columns[:1]))
        bullet = "- " if self.format == "markdown" else ""
        for note in _notes(shown):
            tell(f"{bullet}{printable(note, LINE)}")
        return Ended(made=str(path))


def _columns(tree: Mapping[str, Any]) -> Sequence[Column]:
    """Of the task of a run that has not ended; those of 0.1 had none, and classified."""
    return since.checked(tree)[0].task.columns if "task" in tree else COLUMNS


def _place(config: Plot) -> Path:
    if config.output is None and not Path(config.runs).is_dir():
        raise ConfigError(f"runs={config.runs} is a pattern, so give output=<file>")
    path = Path(config.output) if config.output is not None else Path(config.runs) / "plot.png"
    if not path.parent.is_dir():
        raise InputError(f"output={path}: there is no folder {path.parent}")
    return path


def _title(config: Plot, shown: Comparison) -> str:
    """The one given, or the folder's name and what is averaged."""
    if config.title is not None:
        return config.title
    counts = _counts(shown)
    name = Path(config.runs).resolve().name
    return name if counts[-1] == 1 else f"{name}: mean and range of {_span(counts)} runs"


def _counts(shown: Comparison) -> list[int]:
    """How many runs a point is the mean of, ascending."""
    return sorted({len(point.values) for found in shown.curves.values() for each in found for point in each.points})


def _span(counts: Sequence[int]) -> str:
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"


def _tables(config: Plot, shown: Comparison) -> Iterator[tuple[str, list[str], list[list[str]]]]:
    """Title, columns and rows: by epoch one table with a column for each metric, else one for each metric by x."""
    about = "mean ± std (runs)"
    first = config.curve or "runs"
    if config.x == EPOCH:
        rows = []
        for number, curve in enumerate(shown.curves[config.y[0]]):
            last = {metric: shown.curves[metric][number].points[-1:] for metric in config.y}
            epochs = sorted({str(point.x) for points in last.values() for point in points})
            cells = [_cell(shown.column(metric), last[metric]) for metric in config.y]
            rows.append([curve.label, "/".join(epochs), *cells])
        titles = [shown.label(metric) for metric in config.y]
        yield f"the last epoch: {about}", [first, EPOCH, *titles], rows
        return
    for metric, found in shown.curves.items():
        column = shown.column(metric)
        places = comparison.ordered({point.x: None for curve in found for point in curve.points})
        rows = [
            [each.label, *(_cell(column, [point for point in each.points if point.x == x]) for x in places)]
            for each in found
        ]
        columns = [first, *map(history.text, places)]
        yield f"{shown.label(metric)} by {config.x}: {about}", columns, rows


def _cell(column: Column, points: Sequence[Point]) -> str:
    """The one point, or nothing."""
    if not points:
        return ""
    point = points[0]
    numbers = [each for each in (point.mean, point.deviation) if each is not None]
    shown = [f"{100 * each:.2f}" if column.percent else f"{each:.4g}" for each in numbers]
    return f"{' ± '.join(shown)} ({len(point.values)})"


def _notes(shown: Comparison) -> list[str]:
    """What a reader of the numbers must know."""
    over = [f"averaged over {', '.join(shown.averaged_over)}"] if shown.averaged_over else []
    return [*over, *shown.notes, *(f"left out: {name}: {reason}" for name, reason in shown.left_out.items())]


def _facts(config: Plot, shown: Comparison, path: Path) -> dict[str, Any]:
    """Every point, fractions as fractions."""
    return {
        "x": config.x,
        "curve": config.curve,
        "where": config.where,
        "metrics": {
            metric: [{"curve": each.label, "points": [_point(point) for point in each.points]} for each in found]
            for metric, found in shown.curves.items()
        },
        "averaged_over": shown.averaged_over,
        "notes": shown.notes,
        "left_out": shown.left_out,
        "output": str(path),
    }


def _point(point: Point) -> dict[str, Any]:
    return {
        "x": point.x,
        "mean": point.mean,
        "std": point.deviation,
        "min": point.low,
        "max": point.high,
        "runs": len(point.values),
    }
