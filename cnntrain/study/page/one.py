"""The page of one run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite, nan
from pathlib import Path
from typing import Any

from cnntrain.core.files import write_atomic
from cnntrain.core.units import in_bytes, in_counts
from cnntrain.runs import looks
from cnntrain.runs.closing import meaningful, way
from cnntrain.runs.counts import Given
from cnntrain.study.page import charts, facts
from cnntrain.study.page.answered import kinds
from cnntrain.study.page.charts import Chart, Line
from cnntrain.study.page.facts import Facts
from cnntrain.study.page.render import page
from cnntrain.study.page.settings import settings
from cnntrain.study.page.thumbnails import Album
from cnntrain.tasks.base import LOSS, Column, intervals

PAGE = "report.html"
POINTS = 400  # epochs of a curve; of more every so many-th
CHARTS = 6


def write(folder: Path, album: Album | None, answers: Given | None = None) -> Path:
    """Write the page of a run into its folder, from what is in there.

    Args:
        album: of the samples of the part that is shown, see `facts.JUDGED`; None: the page has no pictures.
        answers: see `facts.read`.

    Raises:
        InputError: a file of the run is damaged.
        ConfigError: the folder is no run's.
        RunError: the disk is full or cannot be written.
    """
    path = folder / PAGE
    text, _ = page_of(facts.read(folder, answers), album)
    write_atomic(path, text.encode())
    return path


def page_of(run: Facts, album: Album | None) -> tuple[str, list[str]]:
    """The page of a run, and the notes that stand on it."""
    shown = values(run, album)
    return page("run.html", shown), shown["notes"]


def values(run: Facts, album: Album | None) -> dict[str, Any]:
    """What the template shows."""
    drawn, settled = curves(run), settings(run.tree)
    answered = kinds.section(run, album)
    data = run.result.get("data") or {}
    return {
        "title": f"{run.config.get('model.name')} on {run.config.get('data.name')}",
        "folder": str(run.result.get("run_dir") or run.folder),
        "status": run.status,
        "error": run.result.get("error"),
        "started": run.commands[0]["when"] if run.commands else None,
        "tiles": _tiles(run),
        "table": _metrics(run, answered.intervals),
        "charts": drawn,
        "part": run.part,
        "samples": run.samples,
        "judged": answered,
        "notes": [*answered.notes, *settled.notes],
        "evaluations": _evaluations(run),
        "first": run.columns[0].title,
        "cost": _cost(run),
        "frozen": run.result.get("frozen"),
        "settings": settled,
        "commands": run.commands,
        "versions": run.result.get("versions") or {},
        "fingerprint": data.get("fingerprint"),
        "weights": run.result.get("weights_sha256"),
        "looks": len(looks.of(run.folder)),
        "inlined": {
            "charts": {each.name: each.stops for each in [*drawn, *answered.charts]},
            "noun": run.samples,
            **answered.inlined,
        },
    }


def one_of(samples: str) -> str:
    """An image."""
    name = samples.removesuffix("s")
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def curves(run: Facts) -> list[Chart]:
    """By epoch the losses, the metrics that say something, and the learning rate."""
    epochs = _thinned(sorted(run.epochs), (run.result.get("best") or {}).get("epoch"))
    if not epochs:
        return []
    losses = [each for each in run.columns if each.name == LOSS]
    found = []
    for column in [*losses, *(each for each in _shown(run) if each.name != LOSS)][: CHARTS - 1]:
        lines = [Line(part, _row(run, epochs, f"{part}/{column.name}")) for part in ("train", "val")]
        lines = [each for each in lines if any(map(isfinite, each.values))]
        if lines:
            found.append(charts.lines(column.name, column.words, epochs, lines, column.text, column.percent))
    rate = Line("lr", _row(run, epochs, "lr"))
    return [*found, charts.lines("lr", "learning rate", epochs, [rate], "{:.3g}".format, False)]


def _row(run: Facts, epochs: Sequence[int], metric: str) -> list[float]:
    return [run.epochs[each].get(metric, nan) for each in epochs]


def _thinned(epochs: list[int], best: int | None) -> list[int]:
    """No more than the page needs, the last and the best among them."""
    step = -(-len(epochs) // POINTS) or 1
    return sorted({*epochs[::step], *epochs[-1:], *(each for each in epochs if each == best)})


def _shown(run: Facts) -> list[Column]:
    classes = (run.result.get("data") or {}).get("classes") or (len(run.answers.classes) if run.answers else 10**9)
    return meaningful(run.columns, classes)


def _metrics(run: Facts, found: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """A row for validation and one for the test, with intervals.

    Args:
        found: intervals of the answers that are shown.
    """
    columns, rows = _shown(run), list[tuple[str, Mapping[str, Any], int, Mapping[str, Sequence[float]]]]()
    best, test = run.result.get("best"), run.result.get("test")
    if best is not None:
        of_val = {each.name: best.get(f"val/{each.name}") for each in columns}
        count, sure = (run.result.get("val") or {}).get("count", 0), found if run.part == "val" else {}
        rows.append((f"validation, best epoch {best['epoch']}", of_val, count, sure))
    if test is not None:
        rows.append(("test", test, test["count"], run.result.get("test_interval") or found))
    shown = []
    for name, of, count, sure in rows:
        known = {key: nan if value is None else value for key, value in of.items()}
        shares = [each for each in columns if isfinite(known.get(each.name, nan))]
        sure = {**intervals(shares, {**known, "count": count}), **sure}
        cells = [(each.text(known.get(each.name, nan)), _within(sure.get(each.name))) for each in columns]
        shown.append({"name": name, "cells": cells, "count": f"{count:,}"})
    has_any = any(within for row in shown for _, within in row["cells"])
    how = f"; [low, high] are 95% intervals ({way(columns)}), in percent" if has_any else ""
    return {"titles": [each.title for each in columns], "rows": shown, "how": how}


def _within(interval: Sequence[float] | None) -> str:
    return "" if interval is None else f"[{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]"


def _tiles(run: Facts) -> list[tuple[str, str, str]]:
    """The numbers that people look at first: what, how much, and a word on it."""
    first, best, test = run.columns[0], run.result.get("best"), run.result.get("test")
    model, train = run.result.get("model") or {}, run.result.get("train") or {}
    tiles = []
    if test is not None and test.get(first.name) is not None:
        sure = (run.result.get("test_interval") or {}).get(first.name)
        tiles.append(
            (f"test {first.title}", first.text(test[first.name]), f"{_within(sure)} {test['count']:,} {run.samples}")
        )
    if best is not None and best.get(f"val/{first.name}") is not None:
        tiles.append((f"val {first.title}", first.text(best[f"val/{first.name}"]), f"best epoch {best['epoch']}"))
    tiles.append(("epochs", str(max(run.epochs, default=0)), f"of {run.config.get('trainer.epochs')}"))
    if model:
        tiles.append(
            (
                "parameters",
                in_counts(model["params"]),
                f"{in_counts(model.get('trainable_params', model['params']))} trained",
            )
        )
    if model.get("macs"):
        tiles.append(("multiply-adds", in_counts(model["macs"]), one_of(run.samples)))
    if train:
        tiles.append(("training", f"{train['images_per_second']:,.0f}", f"{run.samples} a second"))
    return tiles


def _cost(run: Facts) -> list[tuple[str, str]]:
    """Time and memory, and what limited them."""
    train, this = run.result.get("train"), run.result.get("this_command")
    rows = []
    if train:
        waited = train["data_wait"]
        limit = f"reading and preparing {run.samples}" if waited > 0.5 else "computing"
        rows += [
            ("training steps", f"{train['seconds']:,.1f} s, {train['images_per_second']:,.0f} {run.samples} a second"),
            ("limited by", f"{limit}: {waited:.0%} of the time in steps was spent waiting for data"),
        ]
    if this:
        first = this.get("seconds_to_first_step")
        words = f", {first:,.1f} s of it before the first step" if first else ""
        rows.append(("the whole command", f"{this['seconds']:,.1f} s{words}"))
    if run.result.get("peak_memory_bytes"):
        of = run.result.get("peak_memory_of")
        rows.append(("peak memory", f"{in_bytes(run.result['peak_memory_bytes'])}{f' of {of}' if of else ''}"))
    for key, value in (run.result.get("arithmetic") or {}).items():
        rows.append((key.replace("_", " "), "as torch chooses" if value is None else str(value)))
    return rows


def _evaluations(run: Facts) -> list[dict[str, str]]:
    """Of each evaluation, and of each other set that it judged, the first column."""
    rows, first = [], run.columns[0]
    for name, found in run.evaluations.items():
        data = found.get("data") or {}
        sure = {**(found.get("intervals") or {}), **(found.get("interval") or {})}
        judged_sets: list[tuple[str, Any, Any]] = [(f"{data.get('name')} {data.get('part')}", found, sure)]
        judged_sets += [(str(each.get("data")), each, each.get("interval")) for each in found.get("shift") or ()]
        for words, of, sure in judged_sets:
            value, count = of.get(first.name), of.get("n", of.get("count"))
            if isinstance(value, float) and count:
                within = _within((sure or {}).get(first.name))
                cells = {"value": first.text(value), "within": within, "count": f"{count:,}"}
                rows.append({"folder": name, "images": words, **cells})
    return rows
