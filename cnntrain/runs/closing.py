"""The end of a run, and of an evaluation, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt
from typing import Any

from rich.table import Table
from rich.text import Text

from cnntrain.core.words import some_of
from cnntrain.tasks.base import Column

Row = tuple[str, Mapping[str, Any], float | None]  # name, metrics, the first one's of the most frequent answer

MAJORITY = "majority"
DEVIATIONS = 2  # of an accuracy over so many images, within which it is no better than the majority's


def summary(result: Mapping[str, Any], columns: Sequence[Column]) -> list[Any]:
    """The end of a run: its metrics, its speed, and whether it has learned anything that shows."""
    data = result["data"]
    shown = meaningful(columns, data["classes"])
    best, test = result["best"], result["test"]
    rows: list[Row] = []
    if best is not None:
        values = {each.name: best[f"val/{each.name}"] for each in columns}
        limited = some_of(result["val"]["count"], result["val"]["of"])
        name = f"validation{f' ({limited})' if limited else ''}, best epoch {best['epoch']}"
        rows.append((name, {**values, **result["val"]}, data[MAJORITY]["val"]))
    if test is not None:
        rows.append(("test", {**test, "interval": result["test_interval"]}, data[MAJORITY]["test"]))
    train, this = result["train"], result["this_command"]
    speed = (
        f"{result['epochs']} epochs, {train['seconds']:.1f} s in training steps: {train['images_per_second']:,.0f} "
        f"images/s, {train['data_wait']:.0%} of it waiting for data"
    )
    first = this["seconds_to_first_step"]
    whole = f"{this['seconds']:.1f} s for all of this command" + (f", {first:.1f} s to its first step" if first else "")
    title = f"{result['model']['name']}: {result['status']}"
    return [_metrics_table(title, shown, rows), f"{speed}; {whole}", *_no_better(result, columns[0])]


def evaluation(result: Mapping[str, Any], columns: Sequence[Column]) -> Table:
    """The metrics of one evaluation."""
    shown = meaningful(columns, result["classes"])
    row = f"{result['data']['name']} {result['data']['part']}", result, result[MAJORITY]
    return _metrics_table(f"{result['model']}, epoch {result['epoch']}: {result['checkpoint']}", shown, [row])


def meaningful(columns: Sequence[Column], classes: int) -> list[Column]:
    """Those that say something with so many classes: of two the first five are always right."""
    return [each for each in columns if classes > each.trivial_up_to]


def _no_better(result: Mapping[str, Any], column: Column) -> list[str]:
    """A line where the best epoch is no better than the most frequent answer, as far as its images can tell."""
    best, majority, count = result["best"], result["data"][MAJORITY]["val"], result["val"]["count"]
    if best is None or majority is None:
        return []
    reached = best[f"val/{column.name}"]
    if reached > majority + DEVIATIONS * sqrt(majority * (1 - majority) / count):
        return []
    return [
        f"note: a validation {column.title} of {column.text(reached)} is no better than giving every image the most "
        f"frequent class ({column.text(majority)}), as far as {count:,} images can tell; if the training "
        f"{column.title} is no better, look at the rate (optim.lr, schedule), the labels and the epochs"
    ]


def _within(interval: Sequence[float] | None) -> str:
    """An interval of 95%, in percent, behind what it is of."""
    return "" if interval is None else f" [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]"


def _metrics_table(title: str, columns: Sequence[Column], rows: Sequence[Row]) -> Table:
    """Beside the first column stands what it is for the most frequent answer, where there is such."""
    caption = "[low, high]: 95% intervals (Wilson)" if any(values.get("interval") for _, values, _ in rows) else None
    table = Table(title=title, title_justify="left", caption=caption and Text(caption), caption_justify="left")
    titles = [each.title for each in columns]
    if any(majority is not None for *_, majority in rows):
        titles.insert(1, MAJORITY)
    for each in ("", *titles, "images"):
        table.add_column(each, justify="right" if each else "left")
    for name, values, majority in rows:
        sure = values.get("interval") or {}
        cells = [each.text(values[each.name]) + _within(sure.get(each.name)) for each in columns]
        if majority is not None:
            cells.insert(1, columns[0].text(majority))
        table.add_row(name, *cells, f"{values['count']:,}")
    return table
