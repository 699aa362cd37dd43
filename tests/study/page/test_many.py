"""The page of many runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from answered import write_answers, write_run
from markupsafe import escape

from cnntrain.core.errors import InputError
from cnntrain.runs.counts import Counts
from cnntrain.runs.predictions import Predictions
from cnntrain.study.page import many, render
from cnntrain.study.paired import systems
from cnntrain.study.paired.shown import Shown
from cnntrain.study.paired.verdicts import verdicts
from cnntrain.tasks import detect, multilabel, segment


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    draws = np.random.default_rng(0)
    for seed in range(2):
        for name, share, macs in (("<b>vgg16", 0.9, 4_000_000), ("lenet5", 0.7, 4000)):
            right = draws.permutation(np.arange(200) < 200 * share)
            write_run(tmp_path / "runs" / f"{name[:3]}#{seed}", right, seed=seed, macs=macs, model__name=name)
    (tmp_path / "runs" / "len#0" / "report.html").write_text("")
    return tmp_path / "runs"


def test_a_row_a_run_that_leads_to_its_page(runs: Path, read: Any) -> None:
    text, notes = many.page_of(runs, "test", runs)
    page = read(text)
    assert not notes and page.all("title") == [{}] and "4 runs in runs" in page.text
    (link,) = page.all("a")
    assert (runs / unquote(str(link["href"]))).is_file() and str(link["href"]) == "len%230/report.html"
    assert page.text.count("<b>vgg16") >= 2 and not page.all("b")
    sorted_by = [float(str(each["data-v"])) for each in page.all("td") if "data-v" in each]
    assert {0.9, 0.7, 4_000_000.0} <= set(sorted_by)
    assert "optim.lr: 0.1" in page.text  # alike in all


def test_runs_are_called_by_what_tells_them_apart(tmp_path: Path, read: Any) -> None:
    for name in ("one/same", "another/same"):
        write_run(tmp_path / "runs" / name, [True, False] * 6)
    text, _ = many.page_of(tmp_path / "runs", "test", tmp_path)
    assert {"one/<wbr>same", "another/<wbr>same"} <= set(re.findall(r'<th scope="row"[^>]*>(.*?)</th>', text))


def test_names_break_at_their_joints_and_nowhere_else() -> None:
    assert render.breakable("a_b.c=0.05") == "a_<wbr>b.<wbr>c=<wbr>0.05"
    assert render.breakable("<i>'&") == escape("<i>'&")


def test_what_compare_says_stands_there(runs: Path, read: Any) -> None:
    page = read(many.page_of(runs, "test", runs)[0])
    found = systems.read([str(runs)], "test")
    for line in Shown("test", found, verdicts(found.systems, None)).lines():
        assert line in page.text
    told = [text for *_, text in page.data["charts"]["cost"]]
    assert told[0].startswith("<b>vgg16: 90.00% [") and told[1].endswith("4.00 k multiply-adds, 100 parameters")


def test_runs_that_cannot_be_compared_are_shown_all_the_same(runs: Path, read: Any) -> None:
    write_run(runs / "other", [True] * 7, model__name="nin")
    text, notes = many.page_of(runs, "test", runs)
    assert [each for each in notes if each.startswith("the runs are not compared: ")]
    assert len(read(text).data["charts"]["cost"]) == 5  # a bubble a run
    assert "7 of" not in text


def test_one_run_alone_has_a_row(tmp_path: Path, read: Any) -> None:
    write_run(tmp_path / "runs" / "a", [True, False])
    assert "1 runs" not in (text := many.page_of(tmp_path, "test", tmp_path)[0]) and "1 run in" in text


def test_where_no_run_has_finished_there_is_no_page(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no finished run"):
        many.page_of(tmp_path, "test", tmp_path)


def masked(place: Path, miou: float) -> Path:
    found = Counts(["a", "b"], np.ones((2, 3, 2), np.int64), np.ones(2, np.float32), ["x", "y"], {})
    values, interval = {"miou": miou, "pixel_accuracy": 0.5, "loss": 1.0}, {"miou": [miou - 0.125, miou + 0.0625]}
    return write_answers(place, found, segment.COLUMNS, values, interval)


def test_runs_of_several_tasks_stand_beside_each_other(runs: Path, read: Any) -> None:
    """Precision of labels and of boxes has one name, and is not one."""
    masked(runs / "masks", 0.25)
    several = Predictions(
        ["a"], np.ones((1, 2), bool), np.ones((1, 2), np.float32), np.ones(1, np.float32), ["x", "y"], {}
    )
    columns = {"boxes": (detect.FIRST, "detect"), "labels": (multilabel.COLUMNS, "multilabel")}
    for name, (of_task, task) in columns.items():
        told = [each.__dict__ for each in of_task]
        write_answers(runs / name, several, of_task, {"map": 0.5}, {}, task={"name": task, "columns": told}, model={})
        (runs / name / "test").rename(runs / name / "elsewhere")
    text, notes = many.page_of(runs, "test", runs)
    page = read(text)
    titles = [each for each in page.text.split() if re.fullmatch(r"test/\w+", each)]
    assert {*titles} == {"test/top1", "test/miou", "test/map"} and titles.count("test/map") == 2
    assert "(detect)" in page.text and "(multilabel)" in page.text and "pixel_accuracy" not in page.text
    assert len([each for each in notes if "several tasks (classify, detect, multilabel, segment)" in each]) == 1
    charts = page.data["charts"]
    assert len(charts["cost"]) == 2 and charts["cost1"][0][2].startswith("masks: 25.00% [12.5, 31.2], ")
    assert "Mean intersection over union of segment by cost" in page.text and "Accuracy by cost" in page.text


def test_runs_whose_answers_are_no_labels_are_shown_and_not_compared(tmp_path: Path, read: Any) -> None:
    for name, value in (("a", 0.25), ("b", 0.5)):
        masked(tmp_path / "runs" / name, value)
    text, notes = many.page_of(tmp_path / "runs", "test", tmp_path)
    assert notes == ["the runs are not compared image by image: that is for answers to images as a whole"]
    page = read(text)
    assert "test/pixel_accuracy" in page.text and "50.00%" in page.text and "of several tasks" not in page.text
    assert [each[2].partition(",")[0] for each in page.data["charts"]["cost"]] == ["a: 25.00% [12.5", "b: 50.00% [37.5"]
