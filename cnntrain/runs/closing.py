"""The end of a run, and of an evaluation, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from cnntrain.core.words import some_of
from cnntrain.tasks.base import Column


def summary(result: Mapping[str, Any], columns: Sequence[Column]) -> list[Any]:
    """The end of a run: its metrics, and its speed."""
    table = _metrics_table(f"{result['model']['name']}: {result['status']}", columns)
    best, test = result["best"], result["test"]
    if best is not None:
        values = {each.name: best[f"val/{each.name}"] for each in columns}
        limited = some_of(result["val"]["count"], result["val"]["of"])
        name = f"validation{f' ({limited})' if limited else ''}, best epoch {best['epoch']}"
        _metrics_row(table, name, columns, {**values, **result["val"]})
    if test is not None:
        _metrics_row(table, "test", columns, test)
    train = result["train"]
    speed = (
        f"{result['epochs']} epochs, {train['seconds']:.1f} s of training, {train['images_per_second']:,.0f} images/s, "
        f"{train['data_wait']:.0%} of the time waiting for data"
    )
    return [table, speed]


def evaluation(result: Mapping[str, Any], columns: Sequence[Column]) -> Table:
    """The metrics of one evaluation."""
    table = _metrics_table(f"{result['model']}, epoch {result['epoch']}: {result['checkpoint']}", columns)
    _metrics_row(table, f"{result['data']['name']} {result['data']['part']}", columns, result)
    return table


def _metrics_table(title: str, columns: Sequence[Column]) -> Table:
    table = Table(title=title, title_justify="left")
    for name in ("", *(each.title for each in columns), "images"):
        table.add_column(name, justify="right" if name else "left")
    return table


def _metrics_row(table: Table, name: str, columns: Sequence[Column], values: Mapping[str, Any]) -> None:
    table.add_row(name, *(each.text(values[each.name]) for each in columns), f"{values['count']:,}")
