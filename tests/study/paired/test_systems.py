"""Which runs are one system, that all answered to the same samples, and what is said where they did not."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from answered import answers, write_run

from cnntrain.core.errors import InputError
from cnntrain.runs import looks, predictions
from cnntrain.runs.predictions import PREDICTIONS
from cnntrain.study.paired import systems

RIGHT = np.arange(12) % 4 > 0  # 75%
WORSE = np.arange(12) % 2 > 0


def test_runs_that_differ_in_their_seeds_alone_are_one_system(tmp_path: Path) -> None:
    write_run(tmp_path / "a", WORSE, optim__lr=0.1, output="x")
    write_run(tmp_path / "b", RIGHT, optim__lr=0.1, seed=1)
    write_run(tmp_path / "c", RIGHT, optim__lr=0.01, seed=1)
    compared = systems.read([str(tmp_path)], "test")
    assert [each.name for each in compared.systems] == ["optim.lr=0.01", "optim.lr=0.1"]  # the more accurate first
    assert compared.systems[1].right.tolist() == [WORSE.tolist(), RIGHT.tolist()]
    assert compared.systems[1].accuracies == [0.5, 0.75] and compared.systems[1].mean == 0.625
    assert compared.ids == [f"test/{number}" for number in range(12)]
    assert dict(compared.settings) == {"optim.lr": ["0.01", "0.1"]}
    assert (compared.systems[0].figure("params"), compared.systems[0].figure("nothing")) == (100, None)
    assert "of one run, and taken to vary with its seed as the other does: 'optim.lr=0.01'" in compared.notes


def test_names_of_choices_stand_alone_and_keys_that_some_have_are_told(tmp_path: Path) -> None:
    write_run(tmp_path / "a", RIGHT, model__name="vgg16", model__args={})
    write_run(tmp_path / "b", WORSE, model__name="resnet20", model__args={"shortcut": "A"})
    compared = systems.read([str(tmp_path / "a"), str(tmp_path / "b")], "test")
    assert [each.name for each in compared.systems] == ["vgg16", "resnet20"]
    assert dict(compared.settings) == {"model.args.shortcut": ["", "A"], "model.name": ["vgg16", "resnet20"]}
    assert any("of one run each" in line for line in compared.notes)


def test_of_one_seed_the_newest_run_counts(tmp_path: Path) -> None:
    for name in "ab":
        write_run(tmp_path / name, RIGHT)
    write_run(tmp_path / "c", RIGHT, seed=1)
    newer = (tmp_path / "a" / "config.yaml").stat().st_mtime_ns + 10**12
    os.utime(tmp_path / "a" / "config.yaml", ns=(newer, newer))
    (system,) = systems.read([str(tmp_path)], "test").systems
    assert [each.folder.name for each in system.runs] == ["a", "c"]
    assert list(systems.read([str(tmp_path)], "test").left_out) == [str(tmp_path / "b")]


def test_answers_are_brought_into_one_order_and_labels_matched_by_name(tmp_path: Path) -> None:
    write_run(tmp_path / "a", RIGHT)
    order = np.random.default_rng(0).permutation(12).tolist()
    write_run(tmp_path / "b", WORSE, order=order, classes=("cat", "ant", "bee"), optim__lr=1.0)
    compared = systems.read([str(tmp_path)], "test")
    assert {each.name: each.right[0].tolist() for each in compared.systems} == {
        "optim.lr=0.1": RIGHT.tolist(),
        "optim.lr=1.0": WORSE.tolist(),
    }


def test_several_labels_a_sample_are_right_together() -> None:
    found = replace(
        answers([True] * 3),
        labels=np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0]], dtype=bool),
        logits=np.array([[2, -1, -1], [2, -1, -1], [-1, -1, -0.5]], dtype=np.float32),
    )
    assert systems.right(found).tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"right": RIGHT[:11]}, r"\bb lacks 1: 'test/11'"),
        ({"right": np.append(RIGHT, True)}, r"\bb has besides 1: 'test/12'"),
        ({"classes": ("ant", "bee", "cat", "dog")}, "their classes differ: 'dog'"),
        ({"fingerprint": "g"}, "the fingerprints of their data differ"),
        ({"order": [1, 0, *range(2, 12)], "relabel": True}, "2 have other labels: 'test/0', 'test/1'"),
    ],
)
def test_other_samples_are_refused(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    write_run(tmp_path / "a", RIGHT)
    relabel = change.pop("relabel", False)
    place = write_run(tmp_path / "b", **{"right": RIGHT, **change}, optim__lr=1.0)
    path = place / "test" / PREDICTIONS
    if relabel:
        found = predictions.read(path)
        predictions.write(path, replace(found, ids=[f"test/{number}" for number in range(12)]))
    with pytest.raises(InputError, match=rf"a and \S*b answered to different samples.*{said}"):
        systems.read([str(tmp_path)], "test")


def test_runs_on_more_or_fewer_training_images_were_judged_alike(tmp_path: Path) -> None:
    write_run(tmp_path / "a", RIGHT)
    write_run(tmp_path / "b", RIGHT, fingerprint="g", data__train_per_class=50)
    assert len(systems.read([str(tmp_path)], "test").systems) == 2


def test_what_has_no_answers_is_left_out_and_one_run_is_not_compared(tmp_path: Path) -> None:
    write_run(tmp_path / "a", RIGHT)
    write_run(tmp_path / "b", RIGHT, part="val", seed=1)
    with pytest.raises(InputError, match=r"two runs at least are compared, not 1\n.*b: has no test/predictions"):
        systems.read([str(tmp_path)], "test")
    write_run(tmp_path / "c", RIGHT, seed=2)
    assert list(systems.read([str(tmp_path)], "test").left_out.values()) == ["has no test/predictions.parquet"]


def test_looks_at_these_samples_are_counted(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a", RIGHT)
    write_run(tmp_path / "b", RIGHT, seed=1)
    looks.add(run, "cnntrain eval", "f")
    looks.add(run, "cnntrain eval data=other", "of other images")
    compared = systems.read([str(tmp_path)], "test")
    assert compared.systems[0].looks == [2, 1]
    assert "the test part was looked at 3 times by these 2 runs" in compared.notes
