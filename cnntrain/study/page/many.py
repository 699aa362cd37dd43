"""The page of many runs: a table to sort, accuracy by cost, and how they compare on the same samples."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cnntrain.core.errors import InputError
from cnntrain.core.intervals import of_proportion
from cnntrain.core.tables import Grid
from cnntrain.core.units import in_bytes, in_counts
from cnntrain.core.words import CELL, printable
from cnntrain.runs import folder as folders
from cnntrain.runs import history
from cnntrain.runs.counts import COUNTS
from cnntrain.runs.history import Finished
from cnntrain.runs.predictions import PREDICTIONS
from cnntrain.runs.sheet import sheets
from cnntrain.study.comparison import differing, short, written
from cnntrain.study.page import charts
from cnntrain.study.page.charts import Bubble, Chart
from cnntrain.study.page.facts import JUDGED
from cnntrain.study.page.one import PAGE
from cnntrain.study.page.render import page
from cnntrain.study.paired import systems
from cnntrain.study.paired.shown import Shown
from cnntrain.study.paired.statistics import accuracy
from cnntrain.study.paired.systems import Compared
from cnntrain.study.paired.verdicts import verdicts
from cnntrain.tasks.base import Column

ROWS = 2000  # runs
KEYS = 30  # in which runs differ, that have a column
COMPARED = 12  # systems, of every two of which there is a verdict
NOTED = 20  # runs that are left out, by name

CLASSIFY = "classify"  # what all runs of 0.1 did, which do not tell
SEVERAL = "the runs are of several tasks"

Cell = tuple[str, float | None, str]  # text, by what it is sorted (None: by its text), link
EMPTY: Cell = "", None, ""


def page_of(place: Path, part: str, beside: Path) -> tuple[str, list[str]]:
    """The page of the finished runs below a folder, and the notes that stand on it.

    Args:
        part: of the answers that are compared.
        beside: the folder of the page, from which it leads to the pages of the runs.

    Raises:
        InputError: there is no finished run, or a file of one is damaged.
    """
    runs, unfinished = history.read(str(place))
    results = {run.folder: folders.result(run.folder) or {} for run in runs}
    notes = [f"left out: {name}: {reason}" for name, reason in unfinished.items()]
    if len(notes) > NOTED:
        notes = [*notes[:NOTED], f"left out: {len(notes) - NOTED} more runs"]
    if len(runs) > ROWS:
        notes.append(f"the table has the first {ROWS:,} of {len(runs):,} runs")
    tasks = {run.folder: str((results[run.folder].get("task") or {}).get("name", CLASSIFY)) for run in runs}
    grids, lines, compared, why_not = _compared(place, part, runs)
    called = _called(runs)
    drawn = _charts(compared, runs, results, tasks, called)
    titles, rows = _table(runs[:ROWS], results, tasks, beside, called)
    notes += why_not
    if len(names := sorted(set(tasks.values()))) > 1:
        notes.append(
            f"{SEVERAL} ({', '.join(names)}): of each its first metric, which those of others say nothing about"
        )
    shown = {
        "title": f"{len(runs):,} run{'s' if len(runs) != 1 else ''} in {place.resolve().name}",
        "folder": str(place),
        "notes": notes,
        "titles": titles,
        "rows": rows,
        "alike": _alike(runs),
        "charts": drawn,
        "grids": grids,
        "lines": lines,
        "inlined": {"charts": {each.name: each.stops for each in drawn}},
    }
    return page("many.html", shown), notes


def _compared(
    place: Path, part: str, runs: Sequence[Finished]
) -> tuple[list[Grid], list[str], Compared | None, list[str]]:
    """Tables and lines of the comparison, what was compared, and why nothing was."""
    if not any((run.folder / part / PREDICTIONS).is_file() for run in runs) and any(map(_is_judged_otherwise, runs)):
        return [], [], None, ["the runs are not compared image by image: that is for answers to images as a whole"]
    try:
        found = systems.read([str(place)], part)
    except InputError as error:
        return [], [], None, [f"the runs are not compared: {error}"]
    if len(found.systems) > COMPARED:
        why = (
            f"{len(found.systems)} systems are too many for a verdict on every two: cnntrain compare takes some of them"
        )
        return [], [], found, [why]
    shown = Shown(part, found, verdicts(found.systems, None))
    return list(shown.grids()), shown.lines(), found, []


def _is_judged_otherwise(run: Finished) -> bool:
    return bool(sheets(run.folder)) or any((run.folder / each / COUNTS).is_file() for each in JUDGED)


def _called(runs: Sequence[Finished]) -> dict[Path, str]:
    """Of each run its folder, from the one on that holds all of them."""
    holds = os.path.commonpath([run.folder.parent for run in runs])
    return {run.folder: Path(os.path.relpath(run.folder, holds)).as_posix() for run in runs}


def _charts(
    compared: Compared | None,
    runs: Sequence[Finished],
    results: Mapping[Path, Mapping[str, Any]],
    tasks: Mapping[Path, str],
    called: Mapping[Path, str],
) -> list[Chart]:
    """Of each task one, with a bubble a run; of those that were compared a bubble a system. None of a task where no
    cost is known."""
    found, done = list[Chart](), set[str]()
    if compared is not None:
        done = {tasks[run.folder] for each in compared.systems for run in each.runs}
        bubbles = [
            Bubble(printable(each.name, CELL), macs, params, each.mean, *accuracy(each.right))
            for each in compared.systems
            if (macs := each.figure("macs")) and (params := each.figure("params"))
        ]
        found += [charts.bubbles("cost", bubbles, _told, "accuracy", True)] if bubbles else []
    for task in dict.fromkeys(each for each in tasks.values() if each not in done):
        own = [run for run in runs if tasks[run.folder] == task]
        every = (_bubble(run, results[run.folder], called[run.folder]) for run in own)
        bubbles = [each for each in every if each is not None]
        if bubbles:
            column = own[0].columns[0]
            words = f"{column.words} of {task}" if len(set(tasks.values())) > 1 else column.words
            tell = partial(_told, column=column)
            found.append(charts.bubbles(f"cost{len(found) or ''}", bubbles, tell, words, column.percent))
    return found


def _bubble(run: Finished, result: Mapping[str, Any], name: str) -> Bubble | None:
    """Of a run its first metric of the test, with its interval where that is known."""
    model, column, test = result.get("model") or {}, run.columns[0], result.get("test") or {}
    value, macs, params = test.get(column.name), model.get("macs"), model.get("params")
    if not isinstance(value, float) or not isfinite(value) or not macs or not params:
        return None
    sure = (result.get("test_interval") or {}).get(column.name)
    if sure is None:
        sure = of_proportion(value, test["count"]) if column.is_share else (value, value)
    return Bubble(printable(name, CELL), macs, params, value, *sure)


def _told(each: Bubble, column: Column | None = None) -> str:
    """Args:
    column: whose values they are; None: an accuracy.
    """
    text = "{:.2%}".format if column is None else column.text
    percent = column is None or column.percent
    ends = (f"{100 * end:.1f}" if percent else text(end) for end in (each.low, each.high))
    within = f" [{', '.join(ends)}]" if each.high > each.low else ""
    return (
        f"{each.name}: {text(each.value)}{within}, "
        f"{in_counts(int(each.x))} multiply-adds, {in_counts(int(each.size))} parameters"
    )


def _table(
    runs: Sequence[Finished],
    results: Mapping[Path, Mapping[str, Any]],
    tasks: Mapping[Path, str],
    beside: Path,
    called: Mapping[Path, str],
) -> tuple[list[str], list[list[Cell]]]:
    """A row a run: the keys in which they differ, its metrics, its cost; of several tasks of each its first metric."""
    keys = differing([list(runs)])[:KEYS]
    inner = [key for key in keys if not any(each.startswith(f"{key}.") for each in keys)]
    inner.sort(key=lambda each: not each.endswith(".name"))  # choices before their settings
    most = None if len(set(tasks.values())) == 1 else 1
    measured = [(tasks[run.folder], part, c) for run in runs for part in ("test", "val") for c in run.columns[:most]]
    names = list(dict.fromkeys((task, f"{part}/{column.name}") for task, part, column in measured))
    told = [name if most is None else f"{name} ({task})" for task, name in names]
    titles = ["run", *(short(key) for key in inner), *told, *COSTS]
    rows = []
    for run in runs:
        settings = [_setting(run, key) for key in inner]
        metrics = [_metric(run, name) if task == tasks[run.folder] else EMPTY for task, name in names]
        rows.append([(called[run.folder], None, _link(run, beside)), *settings, *metrics, *_cost(results[run.folder])])
    filled = [column for column in range(len(titles)) if any(row[column][0] for row in rows)]
    return [titles[each] for each in filled], [[row[each] for each in filled] for row in rows]


def _link(run: Finished, beside: Path) -> str:
    target = run.folder / PAGE
    return quote(os.path.relpath(target, beside)) if target.is_file() else ""


def _setting(run: Finished, key: str) -> Cell:
    value: Any = run.config.get(key)
    return written(run, key) if key in run.config else "", float(value) if history.is_number(value) else None, ""


def _metric(run: Finished, name: str) -> Cell:
    column = next((each for each in run.columns if name.endswith(f"/{each.name}")), None)
    if column is None:
        return EMPTY
    try:
        value = run.final(name)
    except history.AbsentError:
        return EMPTY
    return (column.text(value), value, "") if isfinite(value) else ("nan", None, "")


COSTS = ("parameters", "trained", "multiply-adds", "images/s", "seconds", "memory", "epochs")


def _cost(result: Mapping[str, Any]) -> list[Cell]:
    """In the order of `COSTS`."""
    model, train = result.get("model") or {}, result.get("train") or {}
    figures: tuple[tuple[Any, Callable[[Any], str]], ...] = (
        (model.get("params"), in_counts),
        (model.get("trainable_params"), in_counts),
        (model.get("macs"), in_counts),
        (train.get("images_per_second"), "{:,.0f}".format),
        (train.get("seconds"), "{:,.1f}".format),
        (result.get("peak_memory_bytes"), in_bytes),
        (result.get("epochs"), str),
    )
    return [(tell(value), float(value), "") if history.is_number(value) else EMPTY for value, tell in figures]


def _alike(runs: Sequence[Finished]) -> list[tuple[str, str]]:
    """The keys that all runs have alike."""
    other = set(differing([list(runs)]))
    return [(key, written(runs[0], key)) for key in runs[0].config if key not in other]
