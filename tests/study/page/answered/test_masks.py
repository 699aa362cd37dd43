"""What a page shows of answers for each pixel."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from answered import judge_val_alone, write_answers
from PIL import Image
from sklearn.metrics import jaccard_score
from sources import Given

from cnntrain.core.errors import InputError
from cnntrain.runs.counts import Counts
from cnntrain.study.evaluation import palette, pixels
from cnntrain.study.page import facts, one
from cnntrain.study.page.answered import masks as of_masks
from cnntrain.study.page.thumbnails import Album, Masked
from cnntrain.tasks.segment import COLUMNS, resampling
from cnntrain.tasks.segment.metrics import counted, figures, pairs

EVIL = ["<script>alert(1)</script>", '"><img src=x onerror=alert(2)>', "sea"]
COUNT, SIDE = 20, 8


@pytest.fixture(scope="module")
def painted() -> list[Masked]:
    """Masks of three classes, and such that are more wrong the higher their number is; some pixels are ignored."""
    draws, found = np.random.default_rng(0), []
    for number in range(COUNT):
        there = draws.integers(0, 3, (SIDE, SIDE)).astype(np.uint8)
        wrong = draws.random((SIDE, SIDE)) < (number * 7 % COUNT) / COUNT
        given = np.where(wrong, draws.integers(0, 3, (SIDE, SIDE)), there).astype(np.uint8)
        there[0, 0] = 255
        found.append(Masked(draws.integers(0, 256, (SIDE, SIDE), dtype=np.uint8), there, given))
    return found


@pytest.fixture(scope="module")
def found(painted: list[Masked]) -> Counts:
    there = torch.from_numpy(np.stack([each.there for each in painted]))
    logits = torch.eye(3)[np.stack([each.given for each in painted]).astype(int)].permute(0, 3, 1, 2)
    answers = counted(pairs(logits, there)).numpy()
    ids = [f"<b>{number}.png" for number in range(COUNT)]
    return Counts(ids, answers, np.ones(COUNT, np.float32), EVIL, {"part": "test"})


@pytest.fixture
def place(tmp_path: Path, found: Counts) -> Path:
    values = {name: float(each) for name, each in figures(found.counts.sum(0)).items()}
    interval = {name: [0.01, 0.02] for name in values}
    return write_answers(tmp_path / "run", found, COLUMNS, {**values, "loss": 1.0}, interval)


def section(place: Path, painted: Callable[[int], Masked] | None = None) -> Any:
    return one.values(facts.read(place), Album(Given(painted=painted), 60))["judged"]


def test_figures_of_classes_are_those_of_an_evaluation(place: Path, found: Counts, read: Any) -> None:
    rows = section(place).rows
    keys = ("name", "iou", "interval", "accuracy", "support", "given")
    assert [{key: row[key] for key in keys} for row in rows] == pixels.per_class(found)
    right, _, given = found.counts.sum(0)
    assert [row["precision"] for row in rows] == pytest.approx((right / given).tolist())
    page = read(one.page_of(facts.read(place), None)[0])
    assert "[low, high] are 95% intervals (bootstrap over images)" in page.text and "Wilson" not in page.text
    assert page.text.count("[1.0, 2.0]") == 4  # a tile, and three metrics: those of result.json
    low, high = (f"{100 * each:.1f}" for each in rows[2]["interval"])
    assert f"sea {100 * rows[2]['iou']:.1f} [{low}, {high}]" in page.text


def test_intervals_of_val_are_computed_where_no_test_has_them(place: Path, found: Counts) -> None:
    judge_val_alone(place)
    (row,) = one.values(facts.read(place), None)["table"]["rows"]
    wanted = resampling.intervals(found.counts)
    shown = [f"[{100 * low:.1f}, {100 * high:.1f}]" for low, high in wanted.values()]
    assert [within for _, within in row["cells"]] == [*shown, ""]


def test_the_worst_images_are_those_of_the_least_miou(place: Path, found: Counts, painted: list[Masked]) -> None:
    values = []
    for each in painted:
        known = each.there != 255
        values.append(jaccard_score(each.there[known], each.given[known], average="macro"))
    order = sorted(range(COUNT), key=lambda each: values[each])
    shown = section(place, painted.__getitem__)
    assert [each.id for each in shown.worst] == [found.ids[each] for each in order[:12]]
    assert [each.id for each in shown.typical] == [found.ids[each] for each in order[12:18]]
    assert shown.worst[0].words.startswith(f"mIoU {values[order[0]]:.1%}, least of ")
    assert not shown.notes and shown.is_small


def test_pictures_have_the_colours_of_the_legend(place: Path, found: Counts, painted: list[Masked]) -> None:
    shown = section(place, painted.__getitem__)
    first = shown.worst[0]
    image, *both = (np.asarray(opened(address)) for address, _ in first.pictures)
    wanted = painted[found.ids.index(first.id)]
    assert np.array_equal(image, wanted.image)
    for pixels_of, mask in zip(both, wanted[1:], strict=True):
        assert np.array_equal(pixels_of, palette.painted(mask, 3))
    assert palette.painted(np.array([[1, 255]], np.uint8), 3).tolist() == [[[128, 0, 0], [224, 224, 192]]]
    assert [colour for _, colour in shown.legend] == ["#000000", "#800000", "#008000", "#e0e0c0"]
    assert [name for name, _ in shown.legend] == [*EVIL, "of no class: counts for nothing"]
    share = (wanted.given == 2).mean()
    assert f"sea {share:.1%}" in first.pictures[2][1] and "the mask that it was given" in first.pictures[2][1]


def test_names_of_others_are_text_alone(place: Path, painted: list[Masked], read: Any) -> None:
    text, notes = one.page_of(facts.read(place), Album(Given(painted=painted.__getitem__), 60))
    page = read(text)
    assert not notes and len(page.scripts) == 2 and len(page.all("img")) == 3 * 18
    assert all(str(each["src"]).startswith("data:image/png;base64,") for each in page.all("img"))
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert EVIL[0] in page.text and EVIL[1] in page.text and page.text.count("<b>") == 18


def test_what_cannot_be_read_is_said(place: Path, painted: list[Masked]) -> None:
    assert section(place).notes == ["there are no pictures, since the images cannot be read: it is gone"]
    ticks = iter(range(100))
    few = Album(Given(painted=painted.__getitem__), 5, clock=lambda: float(next(ticks)))
    shown = one.values(facts.read(place), few)["judged"]
    assert [bool(each.pictures) for each in (*shown.worst[:4], *shown.typical[:3])] == [1, 1, 1, 0, 1, 1, 0]
    assert len(shown.notes) == 1 and shown.notes[0].startswith("some pictures are left out")

    def broken(position: int) -> Masked:
        raise InputError("7.png: cannot be read as an image")

    assert section(place, broken).notes == ["pictures are missing: 7.png: cannot be read as an image"]


def test_a_page_of_many_large_masks_stays_small(tmp_path: Path) -> None:
    draws = np.random.default_rng(0)
    large = Masked(*(draws.integers(0, 200, (300, 300, *more), dtype=np.uint8) for more in ((3,), (), ())))
    names = [f"{'🙂' * 90}{number}" for number in range(255)]
    answers = draws.integers(0, 99, (500, 3, 255))
    found = Counts([f"{'🙂' * 90}{each}" for each in range(500)], answers, np.ones(500, "f"), names, {})
    place = write_answers(tmp_path / "run", found, COLUMNS, dict.fromkeys(("miou", "loss"), 0.5), {})
    text, _ = one.page_of(facts.read(place), Album(Given(painted=lambda position: large), 60))
    assert 1_000_000 < len(text.encode()) <= 3_000_000


def test_images_without_a_pixel_that_counts_are_not_judged() -> None:
    found = Counts(["a", "b"], np.zeros((2, 3, 2), np.int64), np.zeros(2, "f"), ["x", "y"], {})
    found.counts[1, 1:, 0] = 4
    shown = of_masks.section(found, None)
    assert [each.id for each in shown.worst] == ["b"] and shown.rows[1]["iou"] is None


def opened(address: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(address.partition("base64,")[2])))
