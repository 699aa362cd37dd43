"""The page of a run: what it shows is what the run's files say, whatever they are called."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from answered import answers, write_run
from sources import Given

from cnntrain.core.errors import ConfigError, InputError
from cnntrain.data.sets.dataset import Images
from cnntrain.runs import folder, predictions
from cnntrain.runs.predictions import PREDICTIONS, Predictions
from cnntrain.study.page import facts, one
from cnntrain.study.page.thumbnails import Album, Overlay

EVIL = ("<script>alert(1)</script>", '"><img src=x onerror=alert(2)>', "</script><script>alert(3)//\u2028")
LARGEST = 3_000_000


class Pictures:
    """Images of one side, each of noise."""

    def __init__(self, count: int, side: int = 8, channels: int = 3):
        self.count, self.side, self.channels = count, side, channels

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> torch.Tensor:
        shape = self.channels, self.side, self.side
        return torch.from_numpy(np.random.default_rng(index).integers(0, 256, shape, dtype=np.uint8))


def album(images: Images, overlay: Overlay | None = None) -> Album:
    return Album(Given(images, overlay), 60)


def page_of(place: Path, album: Album | None = None) -> str:
    return one.page_of(facts.read(place), album)[0]


def answered(count: int, names: list[str], ids: Callable[[int], str] = str) -> Predictions:
    draws = np.random.default_rng(0)
    labels = draws.integers(0, len(names), count)
    logits = draws.standard_normal((count, len(names))).astype(np.float32)
    logits[np.arange(count), labels] += 1.5
    about = {"part": "test", "checkpoint": "best.ckpt", "fingerprint": "f"}
    return Predictions([ids(each) for each in range(count)], labels, logits, np.ones(count, np.float32), names, about)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A run whose answers to three classes are of every kind."""
    made = write_run(tmp_path / "run", [True] * 9, name="x")
    predictions.write(made / "test" / PREDICTIONS, answered(60, ["ant", "bee", "cat"], "images/{}.png".format))
    return made


def test_names_of_others_are_text_alone(tmp_path: Path, read: Any) -> None:
    place = write_run(tmp_path / "run", [True, False] * 6, name=EVIL[2], model__name=EVIL[0])
    found = answers([True, False] * 6)
    names = Predictions([f"{EVIL[1]}{each}" for each in found.ids], found.labels, found.logits, found.losses, EVIL, {})
    predictions.write(place / "test" / PREDICTIONS, names)
    ended = json.loads((place / folder.RESULT).read_text())
    ended |= {"error": EVIL[0], "versions": {EVIL[1]: EVIL[0]}}
    (place / folder.RESULT).write_text(json.dumps(ended))
    folder.add_command(place, f"cnntrain name='{EVIL[2]}'")
    (place / EVIL[0].replace("/", "")).mkdir()
    (place / EVIL[0].replace("/", "") / "eval.json").write_text(
        json.dumps({"top1": 0.5, "n": 2, "data": {"name": EVIL[1]}})
    )
    text = page_of(place, album(Pictures(12)))
    page = read(text)
    assert len(page.scripts) == 2 and [each.get("type") for each in page.all("script")] == ["application/json", None]
    assert all(each["src"].startswith("data:image/png;base64,") for each in page.all("img")) and page.all("img")
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert {*page.data["names"].values()} == {EVIL[0], EVIL[1], EVIL[2].replace("\u2028", "\\u2028")}
    assert EVIL[0] in page.text and EVIL[1] in page.text
    (policy,) = [each["content"] for each in page.all("meta") if each.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; ") and "img-src data:" in policy


def test_it_needs_nothing_from_elsewhere(place: Path, read: Any) -> None:
    text = page_of(place, album(Pictures(60, side=40)))
    page = read(text)
    outside = {name: value for _, a in page.elements for name, value in a.items() if name in ("src", "href", "action")}
    assert all(str(value).startswith("data:image/jpeg;base64,") for value in outside.values())
    assert not re.search(r"https?:|url\(|@import|fetch\(|XMLHttpRequest|innerHTML|insertAdjacent|eval\(", text)
    assert page.all("html") == [{"lang": "en"}]


def test_the_figures_are_those_of_scikit_learn(place: Path, read: Any) -> None:
    from scipy.stats import binomtest
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    found = predictions.read(place / "test" / PREDICTIONS)
    guesses = found.logits.argmax(1)
    judged = one.values(facts.read(place), None)["judged"]
    counts = [[count for count, _ in row["cells"]] for row in judged.matrix]
    assert counts == confusion_matrix(found.labels, guesses).tolist()
    precision, recall, f1, support = precision_recall_fscore_support(found.labels, guesses)
    for number, row in enumerate(judged.rows):
        assert (row["name"], row["support"]) == (found.classes[number], support[number])
        assert [row["precision"], row["recall"], row["f1"]] == pytest.approx(
            [precision[number], recall[number], f1[number]]
        )
        right = int((guesses[found.labels == number] == number).sum())
        wanted = binomtest(right, int(support[number])).proportion_ci(0.95, method="wilson")
        assert row["interval"] == pytest.approx([wanted.low, wanted.high])


def test_a_cell_shows_its_images(place: Path, read: Any) -> None:
    found = predictions.read(place / "test" / PREDICTIONS)
    guesses, sure = found.logits.argmax(1), torch.tensor(found.logits).softmax(1).max(1).values.tolist()
    page = read(page_of(place, album(Pictures(60))))
    buttons = {each["data-cell"]: each["aria-label"] for each in page.all("button") if "data-cell" in each}
    data = page.data
    assert buttons.keys() == data["cells"].keys() and len(buttons) > 3
    for cell, (count, members) in data["cells"].items():
        label, answer = map(int, cell.split(","))
        wanted = {int(each) for each in np.flatnonzero((found.labels == label) & (guesses == answer))}
        assert set(members) <= wanted and count == len(wanted) and len(members) == min(count, 12)
        first = min(wanted, key=lambda each: sure[each] if label == answer else -sure[each])
        assert members[0] == first
        assert buttons[cell] == f"{found.classes[label]} as {found.classes[answer]}: {count}"
        shown = {each["id"] for each in page.all("img") if each.get("id")}
        assert all(f"image-{each}" in shown or str(each) in data["pictures"] for each in members[:6])
        assert all(data["samples"][str(each)][0] == found.ids[each] for each in members)


def test_the_surest_mistakes_come_first(place: Path, read: Any) -> None:
    found = predictions.read(place / "test" / PREDICTIONS)
    sure = torch.tensor(found.logits).softmax(1).max(1)
    wrong = [each for each in range(60) if int(sure.indices[each]) != found.labels[each]]
    wanted = sorted(wrong, key=lambda each: -float(sure.values[each]))[:24]
    page = read(page_of(place, album(Pictures(60))))
    assert [each["alt"] for each in page.all("img")] == [found.ids[each] for each in wanted]


def test_an_overlay_stands_beside_its_image(place: Path, read: Any) -> None:
    """What Grad-CAM gives, say."""
    asked = []

    def overlay(image: torch.Tensor, answer: int) -> np.ndarray:
        asked.append(answer)
        return np.zeros((8, 8, 3), np.uint8)

    found = predictions.read(place / "test" / PREDICTIONS)
    page = read(page_of(place, album(Pictures(60), overlay)))
    beside = [each for each in page.all("img") if each["alt"] == "what the network looked at"]
    named = [each["alt"] for each in page.all("img") if each.get("id")]
    assert len(beside) == len(named) == len(asked)
    assert asked == [int(found.logits[found.ids.index(each)].argmax()) for each in named]


def test_answers_at_hand_are_not_read_again(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one.write(place, None)
    before, found = (place / one.PAGE).read_text(), predictions.read(place / "test" / PREDICTIONS)
    monkeypatch.setattr(predictions, "read", None)
    one.write(place, None, answers=found)
    assert (place / one.PAGE).read_text() == before


@pytest.mark.parametrize(("classes", "count"), [(30, 3000), (1000, 2000)])
def test_it_stays_small(tmp_path: Path, read: Any, classes: int, count: int) -> None:
    place = write_run(tmp_path / "run", [True] * 9, name="x")
    names = [f"{'🙂' * 90}{number}" for number in range(classes)]
    predictions.write(place / "test" / PREDICTIONS, answered(count, names, lambda each: f"{'🙂' * 90}{each}"))
    text = page_of(place, album(Pictures(count, side=96)))
    assert len(text.encode()) <= LARGEST
    page = read(text)
    assert len(page.all("button")) >= 100 and len(page.data["pictures"]) > 50


def test_a_run_that_has_not_ended_has_its_page(tmp_path: Path, read: Any) -> None:
    place = tmp_path / "run"
    place.mkdir()
    (place / folder.CONFIG).write_text(
        yaml.safe_dump({"seed": 0, "model": {"name": "lenet5"}, "data": {"name": "fake"}})
    )
    assert "not ended" in read(page_of(place)).text
    lines = [
        {"epoch": n, "train/loss": 1 / n, "val/loss": 2 / n, "val/top1": None, "val/top5": 1.0, "lr": 0.1}
        for n in (1, 2)
    ]
    (place / folder.METRICS).write_text("\n".join(map(json.dumps, lines)) + '\n{"epoch": 3, "tra')
    page = read(page_of(place))
    assert page.data["charts"]["loss"][1][2] == "epoch 2: train 0.5000, val 1.0000"
    assert len(page.data["charts"]["loss"]) == 2  # the third is just being written
    assert page.data["charts"].keys() == {"loss", "top5", "lr"}


def test_answers_that_are_no_numbers_are_said_to_be_so(place: Path) -> None:
    found = predictions.read(place / "test" / PREDICTIONS)
    logits = found.logits.copy()
    logits[3] = np.nan
    predictions.write(place / "test" / PREDICTIONS, replace(found, logits=logits))
    _, notes = one.page_of(facts.read(place), None)
    assert len([each for each in notes if "its answers are no finite numbers" in each]) == 1


def test_images_that_take_too_long_or_cannot_be_read_are_left_out(place: Path, read: Any) -> None:
    ticks = iter(range(100))
    text, notes = one.page_of(facts.read(place), Album(Given(Pictures(60)), 5, clock=lambda: float(next(ticks))))
    assert len(read(text).all("img")) == 5 and any(each.startswith("some pictures are left out") for each in notes)

    class Broken(Pictures):
        def __getitem__(self, index: int) -> torch.Tensor:
            raise ConfigError("no") if index < 0 else InputError("7.png: cannot be read as an image")

    text, notes = one.page_of(facts.read(place), Album(Given(Broken(60)), 5))
    assert "pictures are missing: 7.png: cannot be read as an image" in notes and not read(text).all("img")


def test_any_number_of_labels_an_image(tmp_path: Path, read: Any) -> None:
    place = write_run(tmp_path / "run", [True] * 9, name="x")
    labels = np.array([[1, 0], [1, 1], [0, 0], [0, 1]], bool)
    logits = np.array([[2, -1], [1, -2], [-1, 3], [-1, 1]], np.float32)  # wrong: the second and the third
    losses = np.array([0.1, 0.5, 0.9, 0.2], np.float32)
    found = Predictions(list("abcd"), labels, logits, losses, ["sun", "sea"], {})
    predictions.write(place / "test" / PREDICTIONS, found)
    page = read(page_of(place, album(Pictures(4))))
    assert [each["alt"] for each in page.all("img")] == ["c", "b"]
    assert "none → sea loss 0.9, c" in page.text and "sun, sea → sun loss 0.5, b" in page.text
    rows = one.values(facts.read(place), None)["judged"].rows
    assert [(row["support"], row["recall"], row["precision"]) for row in rows] == [(2, 1.0, 1.0), (2, 0.5, 0.5)]


def test_what_differs_from_the_defaults(place: Path) -> None:
    tree = yaml.safe_load((place / folder.CONFIG).read_text())
    tree |= {"optim": {"name": "adamw", "lr": 0.5}, "trainer": {"epochs": 40}, "name": "x"}
    (place / folder.CONFIG).write_text(yaml.safe_dump(tree))
    found = one.values(facts.read(place), None)["settings"]
    assert "optim=adamw" in found.choices
    assert found.changed == [("optim.lr", "0.001", "0.5")]


def test_a_folder_that_is_no_runs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not a run's folder"):
        facts.read(tmp_path)
