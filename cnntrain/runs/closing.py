"""The end of a run, and of an evaluation, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.table import Table

if TYPE_CHECKING:
    pass


def summary(result: Mapping[str, Any]) -> list[Any]:
    """The end of a run: its accuracies (percent), and its speed."""
    table = _metrics_table(f"{result['model']['name']}: {result['status']}")
    best, test = result["best"], result["test"]
    if best is not None:
        values = {name: best[f"val/{name}"] for name in ("top1", "top5", "loss")}
        _metrics_row(table, f"validation, best epoch {best['epoch']}", {**values, **result["val"]})
    if test is not None:
        _metrics_row(table, "test", test)
    train = result["train"]
    speed = (
        f"{result['epochs']} epochs, {train['seconds']:.1f} s of training, {train['images_per_second']:,.0f} images/s, "
        f"{train['data_wait']:.0%} of the time waiting for data"
    )
    return [table, speed]


def evaluation(result: Mapping[str, Any]) -> Table:
    """The metrics of one evaluation, in percent."""
    table = _metrics_table(f"{result['model']}, epoch {result['epoch']}: {result['checkpoint']}")
    _metrics_row(table, f"{result['data']['name']} {result['data']['part']}", result)
    return table


def _metrics_table(title: str) -> Table:
    table = Table(title=title, title_justify="left")
    for name in ("", "top-1", "top-5", "loss", "images"):
        table.add_column(name, justify="right" if name else "left")
    return table


def _metrics_row(table: Table, name: str, values: Mapping[str, Any]) -> None:
    cells = (f"{values['top1']:.2%}", f"{values['top5']:.2%}", f"{values['loss']:.4f}", f"{values['count']:,}")
    table.add_row(name, *cells)
