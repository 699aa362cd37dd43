"""A diagnosis for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from cnntrain.study.diagnosis import learning_curve
from cnntrain.study.diagnosis.subject import OK


def lines(result: Mapping[str, Any]) -> list[Any]:
    """Tables and lines of what a diagnosis found, as ``diagnose.json`` has it."""
    found: list[Any] = [_checks(result)]
    bad = [each["check"] for each in result["checks"] if each["status"] != OK]
    found.append(f"{len(bad)} of {len(result['checks'])} checks are not ok{': ' if bad else ''}{', '.join(bad)}")
    if result["bias_variance"] is not None:
        found += [_errors(result["bias_variance"]), result["bias_variance"]["advice"]]
    if result["curve"] is not None:
        found.append(learning_curve.in_words(result["curve"]))
    return found


def _checks(result: Mapping[str, Any]) -> Table:
    epoch = "before training" if result["epoch"] is None else f"epoch {result['epoch']}"
    table = Table(title=f"{result['model']} on {result['data']}, {epoch}", title_justify="left")
    for each in ("check", "", "what it saw", "what to change"):
        table.add_column(each)
    for each in result["checks"]:
        table.add_row(each["check"], each["status"], each["saw"], each["advice"])
    return table


def _errors(found: Mapping[str, Any]) -> Table:
    human = "unknown, taken as 0" if found["human"] is None else f"{found['human']:.2%}"
    table = Table(title=f"errors in %, with 95% intervals; people's: {human}", title_justify="left")
    for each in ("", "error", "", "images", "", "points", ""):
        table.add_column(each, justify="right" if each else "left")
    for (part, each), gap in zip(found["errors"].items(), found["gaps"], strict=True):
        points = f"{100 * gap['points']:.2f}"
        unclear = "" if gap["clear"] else " not clear of 0"
        table.add_row(
            part, f"{100 * each['error']:.2f}", _within(each["interval"]), f"{each['count']:,}", gap["name"], points,
            f"{_within(gap['interval'])}{unclear}",
        )  # fmt: skip
    return table


def _within(interval: list[float]) -> str:
    return f"[{100 * interval[0]:.2f}, {100 * interval[1]:.2f}]"
