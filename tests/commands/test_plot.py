"""`cnntrain plot`: which runs are averaged, what is drawn, and what is said where something does not fit."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from composing import composed
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from PIL import Image

from cnntrain.commands.plot import Plot, _title
from cnntrain.commands.train import Train
from cnntrain.config.check import check
from cnntrain.core.errors import ConfigError, InputError
from cnntrain.core.lock import held
from cnntrain.core.words import CELL, MOST
from cnntrain.runs import folder, history
from cnntrain.schedule.base import Position
from cnntrain.study import curves
from cnntrain.study.comparison import Comparison, Curve, Point, compare
from cnntrain.tasks.classify import COLUMNS

Draw = Callable[..., str]
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a run's folder as `commands.train` leaves it; `val` is its validation accuracy by epoch."""

    def run(
        name: str,
        val: list[float],
        test: float | None = 0.5,
        status: str = "finished",
        val_of: int | None = None,
        **keys: Any,
    ) -> Path:
        place = tmp_path / "runs" / name
        place.mkdir(parents=True)
        tree = {"seed": 0, "model": {"name": "lenet5", "args": {}}, "transfer": {"name": "full"}, **keys}
        (place / folder.CONFIG).write_text(yaml.safe_dump(tree))
        lines: list[dict[str, float]] = [{"step": 1, "train/loss": 9.0, "lr": 0.1}]  # within an epoch: is not drawn
        for epoch, top1 in enumerate(val, 1):
            lines.append({"step": 2 * epoch, "epoch": epoch, "train/loss": 1 / epoch, "val/top1": top1, "lr": 0.1})
        (place / folder.METRICS).write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        best = {"epoch": max(range(len(val)), key=lambda i: val[i]) + 1}
        tested = {"top1": test, "loss": 2.5, "count": 9} if test is not None else None
        task = {"name": "classify", "columns": [asdict(each) for each in COLUMNS]}
        ended = {"status": status, "best": best, "test": tested, "task": task, "val": {"count": 9, "of": val_of}}
        (place / folder.RESULT).write_text(json.dumps(ended | ({"error": "E: full"} if status == "failed" else {})))
        return place

    return run


@pytest.fixture
def draw(tmp_path: Path, perform: Callable[..., str]) -> Draw:
    """Run the command as it is typed and return what it shows."""
    return lambda *overrides: perform(typed(f"runs={tmp_path}/runs", *overrides))


def typed(*overrides: str) -> Plot:
    return check(composed(overrides, "plot"), Plot)


def facts(draw: Draw, *overrides: str) -> dict[str, Any]:
    return json.loads(draw(*overrides, "format=json"))


def points(shown: dict[str, Any], metric: str) -> dict[str, list[tuple[Any, ...]]]:
    return {
        each["curve"]: [(point["x"], point["mean"], point["runs"]) for point in each["points"]]
        for each in shown["metrics"][metric]
    }


# what is averaged


def test_a_limit_of_validation_is_said(write: Write, draw: Draw) -> None:
    write("a", [0.5], val_of=1200)
    write("b", [0.7], seed=1)
    said = "val/top1: over 9 of 1,200 images of validation (trainer.val_limit)"
    for shape in ("table", "markdown", "json"):
        assert said in draw("x=seed", "y=[val/top1,test/top1]", f"format={shape}")
    assert "val_limit" not in draw("x=seed", "y=test/top1")


def test_by_epoch_a_curve_is_the_mean_of_its_runs(write: Write, draw: Draw) -> None:
    write("a", [0.5, 0.7], seed=0)
    write("b", [0.7, 0.8], seed=1)
    write("c", [0.1, 0.2], model={"name": "resnet20"})
    shown = facts(draw, "x=epoch", "y=[val/error,val/top1,train/loss]", "curve=model")
    assert points(shown, "val/top1") == {
        "lenet5": [(1, pytest.approx(0.6), 2), (2, pytest.approx(0.75), 2)],
        "resnet20": [(1, 0.1, 1), (2, 0.2, 1)],
    }
    assert points(shown, "val/error")["resnet20"] == [(1, pytest.approx(0.9), 1), (2, pytest.approx(0.8), 1)]
    assert points(shown, "train/loss")["lenet5"] == [(1, 1.0, 2), (2, 0.5, 2)]
    first = shown["metrics"]["val/top1"][0]["points"][0]
    assert (first["min"], first["max"], first["std"]) == (0.5, 0.7, pytest.approx(math.sqrt(0.02)))
    assert shown["metrics"]["val/top1"][1]["points"][0]["std"] is None
    assert shown["averaged_over"] == ["seed"]


def test_by_a_key_the_test_and_the_best_epoch_count(write: Write, draw: Draw) -> None:
    for number, (size, seed, test) in enumerate([(50, 0, 0.8), (10, 0, 0.4), (10, 1, 0.6), (200, 0, 0.9)]):
        write(f"{number}", [0.3, 0.9, 0.5], test, seed=seed, data={"train_per_class": size})
    shown = facts(draw, "x=data.train_per_class", "y=[test/top1,val/top1,train/loss,test/loss]", "curve=transfer")
    assert points(shown, "test/top1") == {"full": [(10, 0.5, 2), (50, 0.8, 1), (200, 0.9, 1)]}
    assert points(shown, "val/top1")["full"][0] == (10, 0.9, 2)
    assert points(shown, "train/loss")["full"][0] == (10, 0.5, 2)
    assert points(shown, "test/loss")["full"][0] == (10, 2.5, 2)


def test_every_point_of_a_curve_is_of_the_same_runs(write: Write, draw: Draw) -> None:
    write("a", [0.1, 0.2, 0.3])
    write("b", [0.3], seed=1)
    out = draw("y=val/top1")
    assert "lenet5: drawn to epoch 1, where the first of its 2 runs ended" in out.splitlines()
    assert points(facts(draw, "y=val/top1"), "val/top1") == {"lenet5": [(1, 0.2, 2)]}


def test_the_keys_in_which_averaged_runs_differ_are_named(write: Write, draw: Draw) -> None:
    write("a", [0.1], optim={"lr": 0.1, "betas": [1]}, output="here", seed=0)
    write("b", [0.1], optim={"lr": 0.2, "betas": [2]}, output="there", seed=1)
    assert "averaged over optim.betas, optim.lr, seed" in draw("y=val/top1", "average=[seed,optim]").splitlines()
    assert "averaged" not in draw("y=val/top1", "curve=optim.lr")


def test_runs_that_differ_in_more_than_seeds_have_curves_of_their_own(write: Write, draw: Draw) -> None:
    for name, seed, lr, data in (("a", 0, 0.1, 1), ("b", 1, 0.1, 1), ("c", 0, 0.1, 2), ("d", 0, 0.5, 1)):
        keys = {"data": {"name": f"set{data}", "channels": data, "num_workers": lr}, "optim": {"lr": lr, "betas": [lr]}}
        write(name, [0.1], seed=seed, **keys)
    curves = points(facts(draw, "y=val/top1"), "val/top1")
    assert {label: runs for label, ((_, _, runs),) in curves.items()} == {
        "lenet5, data=set1, optim.betas=[0.1]": 2,
        "lenet5, data=set2, optim.betas=[0.1]": 1,
        "lenet5, data=set1, optim.betas=[0.5]": 1,
    }
    assert list(points(facts(draw, "y=val/top1", "x=optim.lr"), "val/top1")) == [
        "lenet5, data=set1",
        "lenet5, data=set2",
    ]
    assert list(points(facts(draw, "y=val/top1", "curve=null", "average=[seed,data,optim]"), "val/top1")) == ["all"]


def test_where_chooses_runs_by_their_settings(write: Write, draw: Draw) -> None:
    for number, name in enumerate(("digits", "digits", "mnist")):
        write(f"{number}", [0.1], seed=number, data={"name": name, "classes": [1, 2]})
    for where, seeds in (
        ("data.name=digits", [0, 1]),
        ("data=digits,seed=1", [1]),
        ("data=mnist", [2]),
        ('"data.classes=[1, 2],data=mnist"', [2]),
    ):
        shown = facts(draw, "x=seed", "y=val/top1", f"where={where}")
        assert [x for each in points(shown, "val/top1").values() for x, *_ in each] == seeds
    for where, said in (
        ("data=emoji", "where=data=emoji: no run is so; data is digits, mnist"),
        ("dta=mnist", "where=dta is no key of these runs; did you mean 'data'?"),
        ("mnist", "where must be conditions such as data=digits or seed=0,optim.lr=0.1, not mnist"),
    ):
        with pytest.raises(ConfigError, match=re.escape(said)):
            draw("x=seed", "y=val/top1", f"where={where}")
    with pytest.raises(ConfigError, match="average=sed is no key of these runs; did you mean 'seed'"):
        draw("x=data", "y=val/top1", "average=[sed]")


def test_curves_and_places_stand_in_order(write: Write, draw: Draw) -> None:
    for name, lr, transfer in (("a", 0.3, "scratch"), ("b", 0.03, "full"), ("c", 0.1, "auto"), ("d", None, "full")):
        write(name, [0.1], optim={"lr": lr}, transfer={"name": transfer})
    assert list(points(facts(draw, "y=val/top1", "curve=optim.lr"), "val/top1")) == ["0.03", "0.1", "0.3", "null"]
    by_run = points(facts(draw, "y=val/top1", "curve=transfer", "average=optim"), "val/top1")
    assert list(by_run) == ["scratch", "full", "auto"]
    one = points(facts(draw, "y=val/top1", "curve=null", "x=transfer", "average=optim"), "val/top1")
    assert {label: [x for x, *_ in each] for label, each in one.items()} == {"all": ["scratch", "full", "auto"]}


@settings(deadline=None, max_examples=50)
@given(st.dictionaries(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 3)), st.floats(0, 1), min_size=1))
def test_means_are_numpys_and_every_run_counts_once(values: dict[tuple[int, int, int], float]) -> None:
    runs = [
        history.Finished(Path(str(key)), dict(zip("abc", key, strict=True)), {}, 0, {"test/top1": value}, COLUMNS)
        for key, value in values.items()
    ]
    found = compare(runs, "a", ["test/top1"], "b", average=["c"]).curves["test/top1"]
    assert sum(len(point.values) for curve in found for point in curve.points) == len(values)
    for curve in found:
        assert [point.x for point in curve.points] == sorted({a for a, b, _ in values if str(b) == curve.label})
        for point in curve.points:
            own = [value for (a, b, _), value in values.items() if (a, str(b)) == (point.x, curve.label)]
            assert point.mean == pytest.approx(np.mean(own))
            assert point.deviation == (pytest.approx(np.std(own, ddof=1)) if len(own) > 1 else None)
            assert (point.low, point.high) == (min(own), max(own))


# what is left out, and what is wrong


def test_runs_that_have_not_finished_are_left_out_and_named(write: Write, draw: Draw, tmp_path: Path) -> None:
    write("a", [0.5])
    failed, stopped = write("b", [0.5], status="failed"), write("c", [0.5], status="stopped")
    killed, going = write("d", [0.5]), write("e", [0.5])
    for place in (killed, going):
        (place / folder.RESULT).unlink()
    with held(going):
        out = draw("y=val/top1").splitlines()
    lines = [line for line in out if line.startswith("left out: ")]
    assert lines == [
        f"left out: {failed}: failed: E: full",
        f"left out: {stopped}: stopped",
        f"left out: {killed}: has not ended",
        f"left out: {going}: under way",
    ]
    assert out[-1] == str(tmp_path / "runs" / "plot.png")
    assert any(line.split() == ["lenet5", "1", "50.00", "(1)"] for line in out)


def test_a_run_without_what_is_asked_for_is_named(write: Write, draw: Draw) -> None:
    write("a", [0.5], transfer={"name": "freeze_depth", "depth": 2})
    other, untested = write("b", [0.5]), write("c", [0.5], None, transfer={"name": "freeze_depth", "depth": 3})
    shown = facts(draw, "x=transfer.depth", "y=test/top1")
    assert shown["left_out"] == {str(other): "has no key transfer.depth", str(untested): "has no test/top1"}
    assert points(shown, "test/top1") == {"lenet5": [(2, 0.5, 1)]}
    write("d", [0.5], None, transfer={"name": "other", "nothing": 1})
    with pytest.raises(ConfigError, match=r"no run has all of model, transfer\.nothing, test/top1"):
        draw("x=transfer.nothing", "y=test/top1")


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["curve=modle"], "curve=modle is no key of these runs; did you mean 'model'?"),
        (["x=sed"], "x=sed is no key of these runs; did you mean 'seed'?"),
        (["x=epochs"], "x=epochs is no key of these runs; did you mean 'epoch'?"),
        (["y=val/topp1"], "y=val/topp1 is no metric of these runs; did you mean 'val/top1'?"),
        (["y=test/top1"], "y=test/top1 is measured at the end only, not by epoch: give x=<key>, such as x=seed"),
        (["y=zzz", "x=seed"], "y=zzz is no metric of these runs; they have lr, test/error, test/loss, test/top1, tr"),
        (["y=[a,a]"], "y must name each metric to draw once"),
        (["y=[]"], "y must name each metric to draw once"),
        (["y_range=[3,1]"], "y_range must be the axis's least and most"),
        (["output=plot.jpg"], "output must end in one of .png, .svg, .pdf, not plot.jpg"),
        (["format=csv"], "format=csv must be one of table, markdown, json"),
        (["runs=nowhere/*"], "runs=nowhere/*: there is no such folder"),
    ],
)
def test_what_is_wrong_is_said(write: Write, draw: Draw, overrides: list[str], said: str) -> None:
    write("a", [0.5])
    with pytest.raises((ConfigError, InputError)) as caught:
        draw(*overrides)
    assert said in str(caught.value)


def test_folders_that_do_not_serve_are_named(write: Write, draw: Draw, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    with pytest.raises(InputError, match=r"runs: there is no finished run$"):
        draw()
    place = write("a", [0.5], status="stopped")
    states = rf"there is no finished run\n  {place}: stopped\nunfinished=true draws those, too$"
    with pytest.raises(InputError, match=states):
        draw()
    write("b", [0.5])
    with pytest.raises(InputError, match=r"there is no folder .*nowhere"):
        draw(f"output={tmp_path}/nowhere/plot.png", "y=val/top1")
    with pytest.raises(ConfigError, match="is a pattern, so give output=<file>"):
        draw(f"runs={tmp_path}/runs/*", "y=val/top1")
    (tmp_path / "runs" / "b" / folder.METRICS).write_text('{"step": 1, "epo')
    with pytest.raises(InputError, match=r"b/metrics\.jsonl is damaged"):
        draw("y=val/top1")
    (tmp_path / "runs" / "b" / folder.METRICS).unlink()
    with pytest.raises(InputError, match=r"b/metrics\.jsonl: No such file"):
        draw("y=val/top1")


@pytest.mark.parametrize(
    "line",
    ["[1, 2]", "5", '{"epoch": "x"}', '{"epoch": null}', '{"epoch": 2, "val/top1": [1]}', '{"epoch": 1e400}', "["],
)
def test_a_line_that_no_run_has_written_is_named(write: Write, draw: Draw, line: str) -> None:
    path = write("a", [0.5]) / folder.METRICS
    written = path.read_text()
    path.write_text(f'{written}{{"note": 1}}\n')  # somebody's, and harmless
    assert "50.00" in draw("y=val/top1")
    path.write_text(f"{written}{line * (9999 if line == '[' else 1)}\n")
    with pytest.raises(InputError, match=r"a/metrics\.jsonl is damaged in line 3: "):
        draw("y=val/top1")


@pytest.mark.parametrize(
    "more", [{"best": 5}, {"test": "x"}, {"test": {"top1": "x"}}, {"task": {"columns": [{"a": 1}]}}, {"task": [1]}]
)
def test_a_result_that_no_run_has_written_is_named(write: Write, draw: Draw, more: dict[str, Any]) -> None:
    path = write("a", [0.5]) / folder.RESULT
    path.write_text(json.dumps(json.loads(path.read_text()) | more))
    with pytest.raises(InputError, match=r"a/result\.json is damaged: "):
        draw("y=val/top1")


def test_a_column_may_have_more_than_is_known_today(write: Write, draw: Draw) -> None:
    path = write("a", [0.5]) / folder.RESULT
    ended = json.loads(path.read_text())
    ended["task"]["columns"][0]["colour"] = "red"
    path.write_text(json.dumps(ended))
    assert "50.00" in draw("y=val/top1")


def test_a_pattern_chooses_folders(write: Write, draw: Draw, tmp_path: Path) -> None:
    for name in ("a1", "a2", "b1"):
        write(name, [0.5], model={"name": name})
    shown = facts(draw, f"runs={tmp_path}/runs/a*", "y=val/top1", f"output={tmp_path}/x.svg")
    assert list(points(shown, "val/top1")) == ["a1", "a2"]
    assert shown["output"] == f"{tmp_path}/x.svg"


# what is shown


def test_the_table_has_a_row_a_curve_and_a_column_a_place(write: Write, draw: Draw) -> None:
    for name, transfer, size, test in (
        ("a", "scratch", 10, 0.5), ("b", "scratch", 10, 0.6), ("c", "scratch", 50, 0.75), ("d", "full", 50, 1.0),
    ):  # fmt: skip
        write(name, [0.5], test, transfer={"name": transfer}, data={"train_per_class": size})
    out = draw("x=data.train_per_class", "y=[test/top1,test/loss]", "curve=transfer", "format=markdown")
    assert out.splitlines()[:6] == [
        "## test accuracy (%) by data.train_per_class: mean ± std (runs)",
        "",
        "| transfer | 10 | 50 |",
        "| :-- | --: | --: |",
        "| scratch | 55.00 ± 7.07 (2) | 75.00 (1) |",
        "| full |  | 100.00 (1) |",
    ]
    assert "| scratch | 2.5 ± 0 (2) | 2.5 (1) |" in out


def comparison(drawn: dict[str, list[Curve]]) -> Comparison:
    """Of runs that classify."""
    known = [each for column in COLUMNS for each in (column, column.complementary) if each is not None]
    return Comparison(drawn, {}, [], columns={each.name: each for each in known})


def axes_of(shown: Comparison, x: str = "epoch", **options: Any) -> list[Axes]:
    chosen = {"title": "t", "curve": "model", "y_range": None, **options}
    return curves.figure(shown, x, **chosen).axes


def test_the_picture_shows_percent_means_and_ranges() -> None:
    drawn = [Curve("a", [Point(1, [0.2, 0.4]), Point(2, [0.1, 0.1])]), Curve("b", [Point(1, [0.5])])]
    left, right = axes_of(comparison({"train/error": drawn, "val/error": drawn}), y_range=[0, 60])
    assert (left.get_ylabel(), right.get_ylabel()) == ("training error (%)", "validation error (%)")
    assert left.get_ylim() == right.get_ylim() == (0, 60)
    first, second = left.get_lines()
    np.testing.assert_allclose(first.get_xydata(), [[1, 30], [2, 10]])
    np.testing.assert_allclose(second.get_xydata(), [[1, 50]])
    corners = left.collections[0].get_paths()[0].vertices
    assert (corners[:, 1].min(), corners[:, 1].max()) == (pytest.approx(10), pytest.approx(40))
    legend = left.figure.legends[0]  # type: ignore[union-attr]
    assert [each.get_text() for each in legend.get_texts()] == ["a", "b"]
    assert legend.get_title().get_text() == "model"


def test_a_run_of_one_epoch_and_places_in_any_order_are_seen() -> None:
    (panel,) = axes_of(comparison({"val/top1": [Curve("a", [Point(1, [0.2])])]}))
    assert panel.lines[0].get_marker() == "o"
    drawn = [Curve("a", [Point(3, [0.2]), Point(4, [0.3])]), Curve("b", [Point(1, [0.5]), Point(3, [0.5])])]
    (panel,) = axes_of(comparison({"val/top1": drawn}), x="seed")
    assert [each.get_text() for each in panel.get_xticklabels()] == ["1", "3", "4"]


def test_panels_of_one_unit_share_limits_that_hold_them_all() -> None:
    low, high = ([Curve("a", [Point(1, [value]), Point(2, [value + 0.01])])] for value in (0.0, 0.9))
    for panel in axes_of(comparison({"train/error": low, "val/error": high})):
        assert panel.get_ylim()[0] == 0 and 91 < panel.get_ylim()[1] <= 102


def test_metrics_of_other_units_have_an_axis_of_their_own() -> None:
    drawn = {"val/top1": [Curve("a", [Point(1, [0.5])])], "val/loss": [Curve("a", [Point(1, [3.0])])]}
    accuracy, loss = axes_of(comparison(drawn), curve=None)
    assert accuracy.get_ylabel() == "validation accuracy (%)" and loss.get_ylabel() == "validation loss"
    assert accuracy.get_ylim()[0] > 10 > loss.get_ylim()[1]
    assert not accuracy.figure.legends  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("places", "scale", "ticks"),
    [
        ([10, 50, 200], "log", ["10", "50", "200"]),
        ([1, 2, 3], "linear", ["1", "2", "3"]),
        ([0, 10, 200], "linear", ["0", "10", "200"]),
        (["full", "auto", "scratch"], "linear", ["full", "auto", "scratch"]),
        ([10, "null"], "linear", ["10", "null"]),
    ],
)
def test_the_axis_of_a_key_fits_its_values(places: list[Any], scale: str, ticks: list[str]) -> None:
    drawn = [Curve(name, [Point(x, [0.2, 0.6]) for x in places]) for name in "abc"]
    (axes,) = axes_of(comparison({"test/top1": drawn}), "some.key")
    assert axes.get_xscale() == scale
    assert [each.get_text() for each in axes.get_xticklabels()] == ticks
    low, high = axes.get_ylim()
    assert low < 20 and high > 60  # the bars are within


@pytest.mark.parametrize("x", ["epoch", "seed"])
def test_a_null_in_a_runs_files_is_no_number_and_ends_no_curve(draw: Draw, write: Write, x: str) -> None:
    place = write("a", [0.5, 0.75, 0.25])
    lines = [json.loads(line) for line in (place / folder.METRICS).read_text().splitlines()]
    lines[2]["val/top1"] = None
    (place / folder.METRICS).write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    ended = json.loads((place / folder.RESULT).read_text())
    (place / folder.RESULT).write_text(json.dumps({**ended, "test": {"top1": None, "loss": 1.0, "count": 9}}))
    metric = "val/error" if x == "epoch" else "test/error"
    shown = facts(draw, f"x={x}", f"y={metric}")
    expected = [(1, 0.5), (2, None), (3, 0.75)] if x == "epoch" else [(0, None)]
    (curve,) = shown["metrics"][metric]
    assert [(each["x"], each["mean"]) for each in curve["points"]] == expected
    assert shown["left_out"] == {} and shown["notes"] == []
    assert ("nan (1)" in draw(f"x={x}", f"y={metric}")) == (x == "seed")


@pytest.mark.parametrize("x", ["epoch", "seed"])
def test_values_that_are_no_numbers_leave_a_gap(x: str) -> None:
    curve = Curve("a", [Point(x, [1.0, y]) for x, y in ((1, 2.0), (2, math.nan), (3, math.inf))])
    drawn = curves.figure(comparison({"val/loss": [curve, Curve("b", [])]}), x, "t", "model", None)
    assert curves.picture(drawn, "png")[1:4] == b"PNG"
    np.testing.assert_allclose(drawn.axes[0].get_lines()[0].get_ydata(orig=False), [1.5, math.nan, math.nan])
    assert [each.deviation for each in curve.points[1:]] == [pytest.approx(math.nan, nan_ok=True)] * 2


def test_one_epoch_alone_has_a_tick_that_is_its_number() -> None:
    (axes,) = axes_of(comparison({"test/top1": [Curve("a", [Point(1, [0.1])])]}), "epoch")
    assert [each for each in axes.get_xticks() if axes.get_xlim()[0] <= each <= axes.get_xlim()[1]] == [1]


def test_the_mean_of_equal_numbers_has_no_range_below_nothing() -> None:
    (axes,) = axes_of(comparison({"test/top1": [Curve("a", [Point(1, [0.1] * 3)])]}), "seed")
    assert axes.get_lines()[0].get_ydata() == pytest.approx([10])


@pytest.mark.parametrize("x", ["epoch", "seed"])
def test_labels_are_shown_as_they_are_whatever_is_in_them(x: str) -> None:
    names = ["$\\frac$ and $x$", "_hidden", "\x1b[2J\n", "l" * 100_000]
    values = [1, 2] if x == "epoch" else ["$a$", "\x1b"]
    drawn = curves.figure(
        comparison({"val/top1": [Curve(each, [Point(value, [0.5]) for value in values]) for each in names]}),
        x, "$\\frac$ \x1b" + "t" * 1000, "curve\x1b", None,
    )  # fmt: skip
    assert curves.picture(drawn, "svg")
    (legend,) = drawn.legends
    shown = [each.get_text() for each in legend.get_texts()]
    assert shown[:3] == [r"\$\frac\$ and \$x\$", " _hidden", r"\x1b[2J\n"] and len(shown[3]) == CELL
    assert legend.get_title().get_text() == r"curve\x1b"
    assert drawn.get_suptitle().startswith(r"\$\frac\$ \x1bttt") and len(drawn.get_suptitle()) <= MOST + 2
    if x == "seed":
        assert [each.get_text() for each in drawn.axes[0].get_xticklabels()] == [r"\$a\$", r"\x1b"]


def test_ten_curves_are_told_apart() -> None:
    drawn = [Curve(str(i), [Point(1, [0.5]), Point(2, [0.5])]) for i in range(10)]
    (axes,) = axes_of(comparison({"val/top1": drawn}))
    assert len({(line.get_color(), line.get_linestyle()) for line in axes.get_lines()}) == 10


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_equal_numbers_give_equal_files(write: Write, draw: Draw, tmp_path: Path, kind: str) -> None:
    write("a", [0.5, 0.6])
    paths = [tmp_path / f"{number}.{kind}" for number in range(2)]
    for path in paths:
        assert draw(f"output={path}", "y=val/top1").splitlines()[-1] == str(path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    if kind == "png":
        with Image.open(paths[0]) as image:
            assert image.width > image.height > 300 and len(set(image.convert("L").tobytes())) > 20


def test_the_title_says_what_is_averaged(write: Write, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 1), ("c", 2)):
        write(name, [0.5], seed=seed)
    for overrides, title in (
        (["y=val/top1"], "runs: mean and range of 3 runs"),
        (["y=val/top1", "curve=seed"], "runs"),
        (["y=val/top1", "title=mine"], "mine"),
    ):
        chosen = typed(f"runs={tmp_path}/runs", *overrides)
        runs, _ = history.read(chosen.runs)
        assert _title(chosen, compare(runs, chosen.x, chosen.y, chosen.curve)) == title


def test_runs_of_cnntrain_are_read(
    configure: Callable[..., Train], perform: Callable[..., str], tmp_path: Path, result_of: Any
) -> None:
    tests = {}
    for seed in (0, 1):
        settings = configure(f"seed={seed}", "trainer.epochs=2", "trainer.log_every=1", "name=few")
        tests[seed] = result_of(Path(perform(settings).splitlines()[-1]))["test"]["top1"]
    shown = json.loads(perform(typed(f"runs={tmp_path}/few", "x=seed", "y=test/top1", "format=json")))
    assert points(shown, "test/top1") == {"lenet5": [(seed, top1, 1) for seed, top1 in tests.items()]}
    table = perform(typed(f"runs={tmp_path}/few"))
    assert "training error (%)" in table and "averaged over seed\n" in table


def test_torch_is_not_imported(write: Write, tmp_path: Path) -> None:
    write("a", [0.5])
    code = "import sys\nfrom cnntrain import cli\ncode = cli.main(sys.argv[1:])\nprint(code, 'torch' in sys.modules)"
    words = ["plot", f"runs={tmp_path}/runs", "y=val/top1"]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == "0 False", done.stderr


# runs that have not finished


def test_unfinished_runs_are_drawn_as_far_as_they_are(write: Write, draw: Draw, tmp_path: Path) -> None:
    write("a", [0.5, 0.7])
    going = write("b", [0.2, 0.4, 0.6], model={"name": "resnet20"})
    (going / folder.RESULT).unlink()
    with open(going / folder.METRICS, "a") as file:
        file.write('{"step": 99, "epo')  # is just being written
    for file in (write("c", [0.1]) / folder.RESULT, tmp_path / "runs" / "c" / folder.METRICS):
        file.unlink()  # has only begun
    shown = facts(draw, "y=val/top1", "curve=model", "unfinished=true")
    assert points(shown, "val/top1") == {
        "lenet5": [(1, 0.5, 1), (2, 0.7, 1)],
        "resnet20": [(1, 0.2, 1), (2, 0.4, 1), (3, 0.6, 1)],
    }
    assert f"{going}: has not ended, epochs that are done: 3" in shown["notes"]
    assert list(shown["left_out"]) == [str(tmp_path / "runs" / "c")]
    assert str(going) in facts(draw, "y=val/top1")["left_out"]
    stopped = write("d", [0.3], status="stopped", seed=7)
    assert f"{stopped}: stopped, epochs that are done: 1" in facts(draw, "y=val/top1", "unfinished=true")["notes"]
    with pytest.raises(ConfigError, match="unfinished=true goes with x=epoch"):
        typed("unfinished=true", "x=seed")


def test_an_unfinished_runs_columns_are_those_of_its_task(tmp_path: Path, draw: Draw) -> None:
    place = tmp_path / "runs" / "labels"
    place.mkdir(parents=True)
    tree = composed(["data=csv", "data.root=x", "data.labels=several", "task=multilabel"])
    (place / folder.CONFIG).write_text(yaml.safe_dump(tree))
    (place / folder.METRICS).write_text('{"step": 1, "epoch": 1, "val/map": 0.25, "train/loss": 1.0}\n')
    shown = facts(draw, "y=val/map", "unfinished=true")
    assert points(shown, "val/map") == {"lenet5": [(1, 0.25, 1)]}


# schedules before a run


def test_a_schedule_is_drawn_by_what_a_run_takes_its_rates_from(perform: Callable[..., str], tmp_path: Path) -> None:
    words = ["schedule=cosine", "trainer.epochs=4", "steps=10", "optim.lr=0.4", "schedule.warmup_epochs=1"]
    command = typed(*words, f"output={tmp_path}/s.png", "format=json")
    shown = json.loads(perform(command, words))
    schedule = check(composed(["schedule=cosine", "schedule.warmup_epochs=1"]), Train).schedule.start()
    expected = [schedule.rate(0.4, Position(step, 10, 40)) for step in (0, 10, 20, 30, 39)]
    assert list(shown["groups"].values()) == [pytest.approx(expected)]
    assert (tmp_path / "s.png").stat().st_size > 1000
    table = perform(typed(*words, f"output={tmp_path}/s.svg"), words)
    assert "highest" in table and "0.4" in table and not (tmp_path / "schedule.png").exists()


def test_each_group_has_its_own_rate_and_begins_when_it_is_trained(perform: Callable[..., str], tmp_path: Path) -> None:
    words = ["schedule=constant", "transfer=gradual", "transfer.every=2", "transfer.head_lr_multiplier=10"]
    words += ["model=resnet20", "trainer.epochs=5", "steps=3", "optim.lr=0.1", f"output={tmp_path}/s.png"]
    shown = json.loads(perform(typed(*words, "format=json"), words))["groups"]
    assert shown["head"] == [pytest.approx(1.0)] * 6
    begins = sorted(sum(each is None for each in rates) for rates in shown.values())
    assert begins == [0, 2, 4, 6]  # in the first two epochs the head alone; the first groups never
    table = perform(typed(*words), words)
    assert "never" in table


def test_what_a_schedule_cannot_know_is_said(perform: Callable[..., str], tmp_path: Path) -> None:
    words = ["schedule=plateau", "trainer.epochs=2", f"output={tmp_path}/s.png"]
    assert "which is not known before a run: drawn as if it never did" in perform(typed(*words), words)
    for more, problem in (
        (["transfer=auto"], "decides by the data"),
        (["x=epoch"], "leave it out"),
        (["trainer.epochs=99", "steps=99999"], "too many to draw"),
    ):
        with pytest.raises(ConfigError, match=problem):
            typed(*words, *more).execute([*words, *more])
    with pytest.raises(ConfigError, match="add schedule=<name>"):
        typed("optim.lr=0.3").execute(["optim.lr=0.3"])
