"""What probes at every depth have found: a row for each depth, shown as a table and drawn as a plot."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from cnntrain.core.files import write_atomic
from cnntrain.tasks.classify.metrics import best_setting
from cnntrain.transfer.base import Finished
from cnntrain.transfer.probing import references
from cnntrain.transfer.probing.probes import Probes

PLOT = "probes.png"
PROBE, RANDOM = "probe", "random_weights"
TITLES = {PROBE: "probe", RANDOM: "random weights", "knn": "kNN", "logistic": "logistic regression"}
COLUMNS = {PROBE: "", RANDOM: "random ", "knn": "kNN ", "logistic": "logistic "}

Row = dict[str, Any]


def conclude(run: Finished, wanted: Sequence[str], neighbors: int) -> list[Row]:
    """Judge every setting, choose by val, show, draw; returns a row for each depth.

    A row has ``depth``, ``features``, and for the probe, the same on random weights and each reference that was wanted
    ``val_top1`` and, where there is a test part, ``test_top1``.
    """
    model = run.model
    assert isinstance(model, Probes)
    judged = {part: run.judge(part) for part in run.parts}
    rows: dict[str, Row] = {}
    for number, probed in enumerate(model.probed):
        row = rows.setdefault(probed.depth, {"depth": probed.depth, "features": probed.features})
        first = number * len(model.grid)
        mine = {part: values[first : first + len(model.grid)] for part, values in judged.items()}
        best = best_setting(mine["val"])
        lr, decay = model.grid[best]
        row[RANDOM if probed.random else PROBE] = {
            "lr": run.lr * lr,
            "weight_decay": run.weight_decay * decay,
            **{f"{part}_top1": values[best]["top1"] for part, values in mine.items()},
        }
    found = list(rows.values())
    if wanted:
        for row, more in zip(found, run.once(lambda: references.judge(run, wanted, neighbors)), strict=True):
            row.update(more)
    run.once(lambda: _draw(found, run.folder / PLOT))
    run.say(_table(found, run.val, run.majority))
    return found


def _series(rows: Sequence[Row]) -> list[str]:
    return [name for name in TITLES if name in rows[0]]


def _table(rows: Sequence[Row], val: str, majority: Mapping[str, float]) -> Table:
    """In percent, above what the most frequent class is worth; the setting is the probe's own, chosen by `val`."""
    table = Table(title=f"accuracy by depth, after the last epoch; settings chosen by {val}", title_justify="left")
    parts = [part for part in ("val", "test") if f"{part}_top1" in rows[0][PROBE]]
    for name in ("depth", "features", "lr", "decay"):
        table.add_column(name, justify="left" if name == "depth" else "right")
    for name in _series(rows):
        for part in parts:
            table.add_column(f"{COLUMNS[name]}{part}", justify="right")
    for row in rows:
        setting = f"{row[PROBE]['lr']:.3g}", f"{row[PROBE]['weight_decay']:.3g}"
        cells = [f"{row[name][f'{part}_top1']:.2%}" for name in _series(rows) for part in parts]
        table.add_row(row["depth"], f"{row['features']:,}", *setting, *cells)
    if majority:
        table.add_section()
        table.add_row(
            "most frequent class", "", "", "", *[f"{majority[part]:.2%}" for part in parts] * len(_series(rows))
        )
    return table


def _draw(rows: Sequence[Row], path: Path) -> None:
    """Accuracy over depth, of the test part where there is one."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    part = "test" if "test_top1" in rows[0][PROBE] else "val"
    figure = Figure(figsize=(max(5.0, 0.6 * len(rows) + 2), 4.0), layout="constrained")
    axes = figure.subplots()
    depths = range(len(rows))
    for name in _series(rows):
        axes.plot(depths, [100 * row[name][f"{part}_top1"] for row in rows], marker="o", label=TITLES[name])
    axes.set_xticks(depths, [row["depth"] for row in rows], rotation=45 if len(rows) > 5 else 0)
    axes.set_xlabel("depth")
    axes.set_ylabel(f"{part} top-1, %")
    axes.grid(alpha=0.3)
    axes.legend()
    picture = io.BytesIO()
    FigureCanvasAgg(figure).print_png(picture)
    write_atomic(path, picture.getbuffer())
