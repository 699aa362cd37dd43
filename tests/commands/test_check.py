"""``cnntrain check`` where a set is sound, where it is not, and by a run's features."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnntrain.study.checking.labels import Judged

Typed = Callable[..., Any]


def photo(path: Path, seed: int, mode: str = "RGB", side: int = 24) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rough = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    Image.fromarray(rough).resize((side, side)).convert(mode).save(path)


def found_in(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "check.json").read_text())


def kinds(found: dict[str, Any]) -> dict[str, int]:
    return {each["kind"]: each["count"] for each in found["kinds"]}


def test_a_sound_folder(typed: Typed, tmp_path: Path) -> None:
    for number in range(24):
        photo(tmp_path / "photos" / ("ant", "bee")[number % 2] / f"{number}.png", number)
    done = typed("check", "data=imagefolder", "data.root=photos", "data.num_workers=0", "labels=false")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "imagefolder: train 14, val 5, test 5 images of 2 classes"
    assert "all images are of 24x24 pixels" in lines and "files: 24 RGB PNG" in lines
    assert lines[-3:-1] == ["nothing was found", lines[-2]] and lines[-2].startswith(
        "0 faults and 0 warnings in 24 ima"
    )
    found = found_in(tmp_path)
    assert (found["faults"], found["findings"], found["labels"]) == (0, [], None)
    assert found["sizes"]["width"] == {"least": 24, "median": 24, "most": 24}
    assert sum(found["classes"]["ant"].values()) == 12


def test_what_keeps_a_training_from_its_beginning_does_not_keep_the_check(typed: Typed, tmp_path: Path) -> None:
    root = tmp_path / "photos"
    for number in range(24):
        photo(
            root / "train" / ("ant", "Bee", "bee")[number % 3] / f"{number}.png", number, "L" if number < 2 else "RGB"
        )
    photo(root / "test/wolf/1.png", 30)
    photo(root / "train/ant/wide.png", 31)
    Image.new("RGB", (400, 9), "red").save(root / "train/ant/wide.png")
    (root / "train/cat").mkdir()
    done = typed("check", "data=imagefolder", "data.root=photos", "data.num_workers=0", "shown=1")
    assert done.returncode == 2
    found = found_in(tmp_path)
    assert kinds(found) == {"unusable": 1, "alike_classes": 1, "empty_class": 1, "blank": 1, "odd_size": 1}
    assert found["parts"] == {"train": 25, "test": 1}
    assert found["written_as"] == {"RGB PNG": 24, "L PNG": 2}
    assert found["grey"] == 2
    assert "class folders without images: 'cat'" in done.stdout


def test_missing_rows_of_a_table_are_named(typed: Typed, tmp_path: Path) -> None:
    rows = ["path,label,split"]
    for number in range(20):
        photo(tmp_path / f"{number}.png", number)
        rows.append(f"{number}.png,{('ant', 'bee')[number % 2]},{'val' if number > 13 else 'train'}")
    (tmp_path / "labels.csv").write_text("\n".join([*rows, "gone.png,ant,train"]))
    words = ("check", "data=csv", "data.csv=labels.csv", "data.num_workers=0", "labels=false")
    assert typed(*words).returncode == 2
    found = found_in(tmp_path)
    assert kinds(found) == {"missing": 1}
    assert found["findings"][0]["ids"] == ["gone.png"]
    whose = ["who", *(f"w{number // 3}" for number in range(20)), "w99"]
    lines = (tmp_path / "labels.csv").read_text().splitlines()
    (tmp_path / "labels.csv").write_text("\n".join(map(",".join, zip(lines, whose, strict=True))))
    assert typed(*words, "data.group=who").returncode == 2
    found = found_in(tmp_path)
    assert kinds(found) == {"unusable": 1, "missing": 1, "group_leak": 1}
    (torn,) = [each for each in found["findings"] if each["kind"] == "group_leak"]
    assert torn == {"kind": "group_leak", "ids": ["12.png", "13.png", "14.png"], "words": "w4: 2 in train and 1 in val"}


def test_classes_that_their_colour_tells(typed: Typed, tmp_path: Path) -> None:
    for number in range(45):
        path = tmp_path / "photos" / ("red", "ant", "bee")[number % 3] / f"{number}.png"
        photo(path, number)
        if number % 3 == 0:
            Image.fromarray(np.asarray(Image.open(path)) // 4 + np.array([150, 0, 0], np.uint8)).save(path)
    done = typed("check", "data=imagefolder", "data.root=photos", "data.num_workers=0", "labels=false")
    assert done.returncode == 0
    (told,) = found_in(tmp_path)["findings"]
    assert told["kind"] == "colour" and told["words"].startswith("red: F1 ")


@pytest.mark.no_cover
def test_labels_are_judged_by_a_runs_features(typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = ("data=fake", "data.train_size=48", "data.val_size=16", "data.test_size=0", "data.num_classes=2")
    run = typed(*data, "trainer.epochs=1", "trainer.device=cpu", "data.batch_size=16").stdout.splitlines()[-1]
    judged: list[np.ndarray] = []

    def noted(looks: Any, features: np.ndarray) -> Judged:
        judged.append(features)
        return Judged([], 1.0, len(looks))

    monkeypatch.setattr("cnntrain.study.checking.labels.judge", noted)
    assert typed("check", *data, f"run={run}", "device=cpu").returncode == 0
    assert judged[0].shape == (64, 84), "what LeNet-5 computes before its classifier"
    other = typed("check", *data, f"run={run}", "data.channels=1", "device=cpu")
    assert other.returncode == 2 and "data.channels=3 converts the images" in other.stderr


def test_a_run_without_labels_is_refused(typed: Typed) -> None:
    done = typed("check", "run=latest", "labels=false")
    assert done.returncode == 2 and "leave it out with labels=false" in done.stderr
