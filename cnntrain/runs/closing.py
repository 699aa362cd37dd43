"""The end of a run, and of an evaluation, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt
from typing import Any

from rich.table import Table
from rich.text import Text

from cnntrain.core.words import listed, printable, some_of
from cnntrain.tasks.base import Column

Row = tuple[str, Mapping[str, Any], float | None]  # name, metrics, the first one's of the most frequent answer

MAJORITY = "majority"
FEW = 3  # classes, or pairs of them, in a line
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


def evaluation(result: Mapping[str, Any], columns: Sequence[Column]) -> list[Any]:
    """An evaluation: its metrics, beside them those of each of several that answer as one, and what stands out."""
    shown = meaningful(columns, result["classes"])
    data = result["data"]
    rows: list[Row] = [(f"{data['name']} {data['part']}", result, result[MAJORITY])]
    for key, part in (("members", data["part"]), ("val", "val")):
        rows += [(f"{name}, {part}", values, None) for name, values in result.get(key, {}).items()]
    for each in result.get("shift", ()):
        if each["count"]:
            rows.append((f"{each['data']} {each['part']}", each, None))
    table = _metrics_table(f"{result['model']}, epoch {result['epoch']}: {result['checkpoint']}", shown, rows)
    return [table, *_found(result, shown), *_conflicting(result), *_corrupted(result, columns[0])]


def left_out(unknown: Mapping[str, int]) -> str:
    """A line on images of classes that a network does not know."""
    return f"{sum(unknown.values()):,} images of unknown classes are left out: {listed(sorted(unknown))}"


def _found(result: Mapping[str, Any], columns: Sequence[Column]) -> list[str]:
    """Which classes are confused, which are found least, and how far the probabilities can be believed."""
    lines = []
    if result.get("better_on_val") is False:
        lines.append("note: on val this is no better than its best member alone, which is the one to take")
    lines += _gained(result, columns)
    if result.get("most_confused"):
        pairs = (
            f"{each['label']} as {each['answer']} {each['count']} ({each['share']:.1%})" for each in _first(result)
        )
        lines.append(f"most confused: {', '.join(map(printable, pairs))}")
    rows = result.get("per_class", ())
    of_places = {"iou": "IoU", "ap": "AP"}.items()
    key, title = next(((key, title) for key, title in of_places if rows and key in rows[0]), ("", ""))
    if key:
        least = sorted((each for each in rows if each[key] is not None), key=lambda each: each[key])
        words = (f"{each['name']} {each[key]:.1%}{_within(each['interval'])}" for each in least[:FEW])
        lines.append(f"least {title}: {', '.join(map(printable, words))}")
    elif rows:
        least = sorted((each for each in rows if each["support"]), key=lambda each: each["recall"])
        words = (f"{each['name']} {each['recall']:.1%}{_within(each['interval'])}" for each in least[:FEW])
        lines.append(f"least often found: {', '.join(map(printable, words))}")
    if "calibration" in result:
        before, after = result["calibration"]["before"], result["calibration"]["after"]
        heat = result["calibration"]["temperature"]
        mended = (
            "" if after is None else f"; at temperature {heat:.3g}, of val, {after['ece']:.4f} and {after['nll']:.4f}"
        )
        lines.append(f"calibration: ECE {before['ece']:.4f} and NLL {before['nll']:.4f}{mended}")
    lines += [f"{each['data']}: {left_out(each['unknown'])}" for each in result.get("shift", ()) if each["unknown"]]
    return lines


def _gained(result: Mapping[str, Any], columns: Sequence[Column]) -> list[str]:
    """How much better several are together than one of them."""
    told = []
    for column in columns:
        found = result.get("gain", {}).get(column.name)
        if found is None or len(result["members"]) < 2:
            continue
        low, high = (100 * each for each in found["interval"])
        told.append(
            f"{column.title} {column.text(found['together'])} to {column.text(found['mean'])}, "
            f"{100 * found['difference']:+.2f} points [{low:.2f}, {high:.2f}]"
        )
    return [f"together, against the mean of {len(result['members'])} members: {'; '.join(told)}"] if told else []


def _first(result: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    few: Sequence[Mapping[str, Any]] = result["most_confused"][:FEW]
    return few


def _conflicting(result: Mapping[str, Any]) -> list[str]:
    """Whether images of two classes are taken for that of their shape or that of their texture."""
    found = result.get("cues")
    if found is None:
        return []
    bias = found["shape_bias"]
    said = "none is known" if bias is None else f"{bias:.1%}{_within(found['interval'])}"
    counts = f"{found['shape']:,} by shape, {found['texture']:,} by texture, {found['neither']:,} as neither"
    lines = [f"{printable(found['data'])}: shape bias {said}: of {found['count']:,} images {counts}"]
    without = found["left_out"]
    if without["unknown"]:
        names = listed(sorted(found["unknown"]))
        lines.append(f"{without['unknown']:,} of its images are left out, of classes that are unknown: {names}")
    if without["same"]:
        lines.append(f"{without['same']:,} of its images are left out, whose shape and texture are of one class")
    return lines


def _corrupted(result: Mapping[str, Any], column: Column) -> list[Table]:
    """The first column of images that are made worse, by strength."""
    found = result.get("corruptions")
    if not found:
        return []
    table = Table(title=f"{column.title} of images that are made worse, by strength", title_justify="left")
    table.add_column("")
    for each in [*(str(1 + number) for number in range(len(next(iter(found.values()))))), "mean"]:
        table.add_column(each, justify="right")
    for kind, rows in found.items():
        values = [each[column.name] for each in rows]
        table.add_row(kind, *(column.text(each) for each in [*values, sum(values) / len(values)]))
    return [table]


def meaningful(columns: Sequence[Column], classes: int) -> list[Column]:
    """Those that say something with so many classes: of two the first five are always right."""
    return [each for each in columns if classes > each.trivial_up_to]


def _no_better(result: Mapping[str, Any], column: Column) -> list[str]:
    """A line where the best epoch is no better than the most frequent answer, as far as its images can tell."""
    best, majority, count = result["best"], result["data"][MAJORITY]["val"], result["val"]["count"]
    if best is None or majority is None:
        return []
    reached = best[f"val/{column.name}"]
    if not is_no_better(reached, majority, count):
        return []
    return [
        f"note: a validation {column.title} of {column.text(reached)} is no better than giving every image the most "
        f"frequent class ({column.text(majority)}), as far as {count:,} images can tell; if the training "
        f"{column.title} is no better, cnntrain diagnose run={printable(result['run_dir'])} looks for the cause"
    ]


def is_no_better(reached: float, majority: float, count: int) -> bool:
    """Whether an accuracy is no better than that of the most frequent answer, as far as so many images can tell."""
    return reached <= majority + DEVIATIONS * sqrt(majority * (1 - majority) / count)


def _within(interval: Sequence[float] | None) -> str:
    """An interval of 95%, in percent, behind what it is of."""
    return "" if interval is None else f" [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]"


def way(columns: Sequence[Column]) -> str:
    """By which the intervals of these are found."""
    return "Wilson" if any(each.is_share for each in columns) else "bootstrap over images"


def _metrics_table(title: str, columns: Sequence[Column], rows: Sequence[Row]) -> Table:
    """Beside the first column stands what it is for the most frequent answer, where there is such."""
    caption = (
        f"[low, high]: 95% intervals ({way(columns)})" if any(values.get("interval") for _, values, _ in rows) else None
    )
    table = Table(title=title, title_justify="left", caption=caption and Text(caption), caption_justify="left")
    titles = [each.title for each in columns]
    if any(majority is not None for *_, majority in rows):
        titles.insert(1, MAJORITY)
    for each in ("", *titles, "images"):
        table.add_column(each, justify="right" if each else "left")
    for name, values, majority in rows:
        sure = values.get("interval") or {}
        cells = [each.text(values[each.name]) + _within(sure.get(each.name)) for each in columns]
        if MAJORITY in titles:
            cells.insert(1, "" if majority is None else columns[0].text(majority))
        table.add_row(name, *cells, f"{values['count']:,}")
    return table
