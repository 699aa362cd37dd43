from __future__ import annotations

import csv
from math import sqrt
from pathlib import Path

import numpy as np
import pytest

from cnntrain.core.errors import InputError
from cnntrain.data.sets.cues import Cues
from cnntrain.data.sets.dataset import Labelled, Part
from cnntrain.runs.predictions import Predictions
from cnntrain.study.evaluation import conflicts

CLASSES = ["ant", "bee", "cat", "dog", "emu", "fox"]
OFFERED = [0, 2, 3, 5]


def drawn(count: int = 300) -> tuple[Predictions, Cues]:
    """Answers at random; the classes that do not occur are the most probable ones of many images."""
    draws = np.random.default_rng(3)
    pairs = np.array([draws.choice(OFFERED, 2, replace=False) for _ in range(count)])
    logits = draws.normal([0, 2, 0, 0.5, 2, 0], size=(count, len(CLASSES)))
    ids = [f"{number}.png" for number in range(count)]
    texture = dict(zip(reversed(ids), reversed(pairs[:, 1].tolist()), strict=True))
    images = Labelled(CLASSES, Part([], pairs[:, 0], ids), "cues", "f", [])  # type: ignore[arg-type]
    cues = Cues("photos", images, texture, np.array(OFFERED), {"gnu": 4}, {"unknown": 4, "same": 2})
    return Predictions(ids, pairs[:, 0], logits, np.zeros(count), CLASSES, {"checkpoint": "best.ckpt"}), cues


def wilson(hits: int, of: int) -> list[float]:
    z, share = 1.959963984540054, hits / of
    middle, half = share + z**2 / (2 * of), z * sqrt(share * (1 - share) / of + z**2 / (4 * of**2))
    return [(middle - half) / (1 + z**2 / of), (middle + half) / (1 + z**2 / of)]


def test_the_shape_bias_is_that_of_a_count_by_hand() -> None:
    answers, cues = drawn()
    counts = {name: {"shape": 0, "texture": 0, "neither": 0} for name in ["all", *(CLASSES[each] for each in OFFERED)]}
    for number, row in enumerate(answers.logits.tolist()):
        best = max(OFFERED, key=lambda each: row[each])
        shape, texture = int(answers.labels[number]), cues.texture[f"{number}.png"]
        by = {shape: "shape", texture: "texture"}.get(best, "neither")
        counts["all"][by] += 1
        counts[CLASSES[shape]][by] += 1
    found = conflicts.figures(conflicts.rows(answers, cues), cues)
    assert found["classes"] == ["ant", "cat", "dog", "fox"]
    assert (found["unknown"], found["left_out"]) == ({"gnu": 4}, {"unknown": 4, "same": 2})
    assert [each["name"] for each in found["per_shape"]] == found["classes"]
    for name, each in [("all", found), *((each["name"], each) for each in found["per_shape"])]:
        expected = counts[name]
        assert {key: each[key] for key in expected} == expected and each["count"] == sum(expected.values())
        decided = expected["shape"] + expected["texture"]
        assert each["shape_bias"] == expected["shape"] / decided and min(expected.values()) > 0
        assert each["interval"] == pytest.approx(wilson(expected["shape"], decided), abs=1e-9)


def test_where_no_answer_is_shape_or_texture_there_is_no_bias() -> None:
    answers, cues = drawn(1)
    other = next(each for each in OFFERED if each not in (answers.labels[0], cues.textures[0]))
    answers.logits[0, other] = 9
    found = conflicts.figures(conflicts.rows(answers, cues), cues)
    assert (found["neither"], found["shape_bias"], found["interval"]) == (1, None, None)
    answers.logits[0, 0] = np.nan
    with pytest.raises(InputError, match="to 1 of 1 images"):
        conflicts.rows(answers, cues)


def test_a_row_an_image_is_written_and_none_is_left_of_an_evaluation_before(tmp_path: Path) -> None:
    answers, cues = drawn(5)
    found = conflicts.rows(answers, cues)
    conflicts.write(tmp_path, found)
    with open(tmp_path / conflicts.CSV, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [each["image"] for each in rows] == [f"{number}.png" for number in range(5)]
    assert [CLASSES.index(each["shape"]) for each in rows] == answers.labels.tolist()
    assert [CLASSES.index(each["texture"]) for each in rows] == cues.textures.tolist()
    for each in rows:
        assert (
            each[each["by"]] == each["answer"]
            if each["by"] != "neither"
            else each["answer"]
            not in (
                each["shape"],
                each["texture"],
            )
        )
    conflicts.write(tmp_path, [])
    assert not (tmp_path / conflicts.CSV).exists()
