"""What a page shows of objects in boxes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from answered import judge_val_alone, write_answers
from sources import Given

from cnntrain.runs.objects import Objects
from cnntrain.study.evaluation import objects
from cnntrain.study.page import facts, one
from cnntrain.study.page.answered import boxes
from cnntrain.study.page.thumbnails import Album
from cnntrain.tasks.detect import FIRST, LOSS, precision, resampling
from cnntrain.tasks.detect.matching import matched
from cnntrain.tasks.detect.metrics import figures

COLUMNS = (*FIRST, LOSS)
EVIL = ["<script>alert(1)</script>", '"><img src=x onerror=alert(2)>', "sea"]


def rows_of(*rows: tuple[float, ...]) -> np.ndarray:
    table = np.full((6, 7), -1, np.float32)
    table[: len(rows)] = np.array(rows, np.float32).reshape(-1, 7)
    return table


# kind, class, score, box: detections, then objects
GOOD = rows_of((0, 0, 0.9, 1, 1, 11, 11), (1, 0, 0, 0, 0, 10, 10), (0, 2, 0.1, 20, 20, 30, 30))
BAD = rows_of((0, 1, 0.8, 1, 1, 11, 11), (0, 2, 0.7, 20, 20, 30, 30), (1, 0, 0, 0, 0, 10, 10), (1, 1, 0, 5, 25, 9, 29))
EMPTY = rows_of()
IGNORING = rows_of((0, 2, 0.6, 20, 20, 30, 30), (2, 2, 0, 18, 18, 32, 32), (1, 2, 0, 0, 0, 9, 9))


@pytest.fixture(scope="module")
def found() -> Objects:
    table = np.stack([GOOD, BAD, EMPTY, IGNORING])
    # detections come before objects in each image, in columns of their own
    wide = np.full((4, 12, 7), -1, np.float32)
    for own, rows in zip(wide, table, strict=True):
        for half, kinds in ((own[:6], (0,)), (own[6:], (1, 2))):
            some = rows[np.isin(rows[:, 0], kinds)]
            half[: len(some)] = some[np.argsort(-some[:, 2], kind="stable")]
    ids = [f"<b>{each}" for each in "abcd"]
    return Objects(ids, wide, np.array([1, 1, 3, 2], np.float32), EVIL, {"part": "test"})


@pytest.fixture
def place(tmp_path: Path, found: Objects) -> Path:
    values, interval = figures(found.rows, COLUMNS), {"map": [0.01, 0.02], "map50": [0.03, 0.04]}
    return write_answers(tmp_path / "run", found, COLUMNS, {**values, "loss": 1.0}, interval)


def seen(position: int) -> np.ndarray:
    return np.full((32, 32), 10 * position, np.uint8)


def test_figures_are_those_of_an_evaluation(place: Path, found: Objects, read: Any) -> None:
    shown = one.values(facts.read(place), None)["judged"]
    assert shown.rows == objects.per_class(found) and [row["support"] for row in shown.rows] == [2, 1, 1]
    page = read(one.page_of(facts.read(place), None)[0])
    assert "(bootstrap over images)" in page.text and "Wilson" not in page.text
    assert "[1.0, 2.0]" in page.text and "[3.0, 4.0]" in page.text and "[0.0, 0.0]" in page.text
    assert shown.tally.endswith("1 of 4 objects are found, and 2 detections are none.")


def test_the_curve_of_all_classes_has_the_area_of_map50(found: Objects) -> None:
    draws = np.random.default_rng(0)
    rows = np.concatenate([found.rows] * 5)
    rows[..., 2] = np.where(rows[..., 0] == 0, draws.random(rows.shape[:2]), rows[..., 2])
    many = replace(found, rows=rows, ids=[*map(str, range(20))], losses=np.ones(20, np.float32))
    of_classes = [precision.curve(each) for each in matched(rows, 3)]
    values = figures(rows, COLUMNS)
    assert 0 < values["map50"] < 1 and np.mean(of_classes) == pytest.approx(values["map50"])
    for each, own in zip(matched(rows, 3), of_classes, strict=True):
        assert own.mean() == pytest.approx(precision.averages(each, np.ones((1, 20)))[0, precision.HALF])
    (chart,) = boxes.section(many, (), None).charts
    assert chart.legend[0][0] == f"all classes: {values['map50']:.1%}" and len(chart.stops) == 101


def test_the_worst_images_are_those_of_the_most_errors(place: Path, read: Any) -> None:
    text, notes = one.page_of(facts.read(place), Album(Given(sees=seen), 60))
    shown = one.values(facts.read(place), Album(Given(sees=seen), 60))["judged"]
    assert not notes and shown.is_small
    assert [(each.id, each.words) for each in shown.worst] == [
        ("<b>b", "2 of 2 missed, 2 wrong"),
        ("<b>d", "1 of 1 missed, 0 wrong"),
        ("<b>c", "0 of 0 missed, 0 wrong"),
        ("<b>a", "0 of 1 missed, 0 wrong"),
    ]
    second = shown.worst[1]
    assert [(each.kind, each.words) for each in second.there] == [("ignored", "sea"), ("missed", "sea")]
    assert [(each.kind, each.words) for each in second.given] == [("ignored", "sea 60%")]
    last = shown.worst[-1]
    assert [(each.kind, each.words) for each in (*last.there, *last.given)] == [
        ("hit", EVIL[0]), ("hit", f"{EVIL[0]} 90%"),
    ]  # fmt: skip
    assert (last.given[0].x, last.given[0].y, last.given[0].width, last.given[0].height) == (1, 1, 10, 10)
    page = read(text)
    assert len(page.all("svg")) == 8 + len(page.data["charts"]) and len(page.all("image")) == 8
    assert len([each for each in page.all("rect") if each["class"] == "under"]) == 9


def test_names_of_others_are_text_alone(place: Path, read: Any) -> None:
    page = read(one.page_of(facts.read(place), Album(Given(sees=seen), 60))[0])
    assert len(page.scripts) == 2 and not page.all("img")
    assert all(str(each["href"]).startswith("data:image/png;base64,") for each in page.all("image"))
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert EVIL[0] in page.text and EVIL[1] in page.text
    assert f"detections in <b>b: {EVIL[1]} 80%, sea 70%" in [each.get("aria-label") for each in page.all("svg")]


def test_what_is_missing_is_said(place: Path, found: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = one.values(facts.read(place), Album(Given(), 60))["judged"]
    assert shown.notes == ["there are no pictures, since the images cannot be read: it is gone"]
    assert [each.picture for each in shown.worst] == [""] * 4 and not shown.worst[0].there
    monkeypatch.setattr(boxes, "MOST", 11)
    shown = one.values(facts.read(place), None)["judged"]
    assert not shown.rows and not shown.charts and len(shown.worst) == 4 and "cnntrain eval writes it" in shown.notes[0]


def test_intervals_of_val_are_computed_where_no_test_has_them(place: Path, found: Objects) -> None:
    judge_val_alone(place)
    (row,) = one.values(facts.read(place), None)["table"]["rows"]
    wanted = resampling.intervals(found.rows, COLUMNS)
    assert [each for _, each in row["cells"]] == [f"[{100 * a:.1f}, {100 * b:.1f}]" for a, b in wanted.values()] + [""]
