"""Answers to files are those that the run left of the same images, and what cannot be read costs nothing else."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from scipy.special import softmax

import cnntrain
from cnntrain.build import predicting
from cnntrain.core import signals
from cnntrain.core.errors import InputError
from cnntrain.runs import predictions

Typed = Callable[..., Any]
CLASSES = {"ant": 40, "bee": 60, "cat": 80}
WORDS = (
    "data=imagefolder", "data.image_size=32", "data.batch_size=8", "data.num_workers=0", "model=lenet5",
    "trainer.device=cpu", "trainer.epochs=3", "optim.lr=0.02", "data.channels=1",
)  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two runs on the same noisy greys, of which the second sees larger images."""
    root = tmp_path_factory.mktemp("greys")
    for part, count in (("train", 8), ("val", 20), ("test", 5)):
        for number, (name, grey) in enumerate(CLASSES.items()):
            for index in range(count):
                noise = np.random.default_rng([number, index, count]).normal(grey, 25, (32, 32)).clip(0, 255)
                (root / part / name).mkdir(parents=True, exist_ok=True)
                Image.fromarray(noise.astype(np.uint8)).save(root / part / name / f"{index}.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(root / "cache"))
        made = [
            cnntrain.train(*WORDS, f"data.root={root}", f"output={root / 'runs'}", *more)["run_dir"]
            for more in ((), ("seed=1", "data.crop_fraction=0.8"))
        ]
    return [Path(each) for each in made]


def images_of(run: Path) -> Path:
    return run.parents[2] / "test"


def left(run: Path, part: str = "test") -> tuple[list[str], np.ndarray, np.ndarray]:
    """Names, calibrated probabilities and labels that the run left."""
    found = predictions.read(run / part / predictions.PREDICTIONS)
    heat = json.loads((run / "result.json").read_text())["temperature"]
    return list(found.ids), softmax(found.logits.astype(np.float64) / (heat or 1), axis=1), found.labels


def rows(out: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(out)))


def test_answers_are_those_that_the_run_left(typed: Typed, runs: list[Path]) -> None:
    done = typed("predict", f"run={runs[0]}", f"images={images_of(runs[0])}", "format=csv", "num_workers=2", "topk=2")
    assert done.returncode == 0 and done.stderr == ""
    ids, expected, _ = left(runs[0])
    assert [Path(row["image"]) for row in rows(done.stdout)] == [images_of(runs[0]).parent / each for each in ids]
    classes = sorted(CLASSES)
    for row, values in zip(rows(done.stdout), expected, strict=True):
        order = np.argsort(-values)
        assert row["answer"] == row["class_1"] == classes[order[0]] and row["class_2"] == classes[order[1]]
        assert float(row["probability_1"]) == pytest.approx(values[order[0]], abs=1e-5)
        assert float(row["probability_2"]) == pytest.approx(values[order[1]], abs=1e-5)
    assert len({row["answer"] for row in rows(done.stdout)}) > 1


def test_python_answers_as_the_command_does(typed: Typed, runs: list[Path]) -> None:
    done = typed("predict", f"run={runs[0]}", f"images={images_of(runs[0])}", "format=json", "topk=3")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    found = cnntrain.load(runs[0], device="cpu").predict(Path(each["image"]) for each in lines)
    for each, line in zip(found, lines, strict=True):
        assert list(each) == line["class"] and list(each.values()) == line["probability"]
    with Image.open(lines[0]["image"]) as image:
        (alone,) = cnntrain.load(runs[0], device="cpu").predict([image])
    assert alone == pytest.approx(found[0], abs=1e-6)


def test_files_that_cannot_be_read_are_named_and_left_out(
    typed: Typed, runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = str(images_of(runs[0]) / "ant" / "0.png")
    (tmp_path / "bad.png").write_bytes(Path(good).read_bytes()[:60])
    monkeypatch.setattr("sys.stdin", io.StringIO(f"none.png\n{good}\nbad.png\n{good}\n"))
    done = typed("predict", f"run={runs[0]}", "images=-", "topk=1", "batch_size=3")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert len(lines) == 2 and lines[0].split()[0] == Path(good).as_posix() and lines[0].endswith("%")
    errors = done.stderr.splitlines()
    assert errors[0].startswith("cnntrain: none.png: cannot be read") and "bad.png: cannot be read" in errors[1]
    assert errors[2] == "cnntrain: 2 of 4 images cannot be read; all others have a row"
    with pytest.raises(InputError, match=r"none\.png: cannot be read"):
        cnntrain.load(runs[0], device="cpu").predict([good, "none.png"])


def test_several_runs_answer_by_their_mean_probabilities(typed: Typed, runs: list[Path]) -> None:
    both = f"run=[{runs[0]},{runs[1]}]"
    done = typed("predict", both, f"images={images_of(runs[0])}", "output=both.parquet", "topk=9")
    assert done.returncode == 0 and done.stdout == "both.parquet\n"
    table = pq.read_table("both.parquet").to_pydict()
    expected = (left(runs[0])[1] + left(runs[1])[1]) / 2
    answers = [
        [dict(zip(names, values, strict=True))[name] for name in sorted(CLASSES)]
        for names, values in zip(table["class"], table["probability"], strict=True)
    ]
    assert np.abs(np.array(answers) - expected).max() < 1e-5
    found, files = cnntrain.load(runs[0], device="cpu"), sorted(map(str, images_of(runs[0]).rglob("*.png")))
    inputs = predicting.files(files)
    once, twice = ([rows for rows, _ in predicting.answers(members, inputs)] for members in ([found], [found, found]))
    assert all(torch.allclose(each, both) for each, both in zip(once, twice, strict=True))


def test_of_the_right_answers_on_val_the_asked_share_is_rejected(typed: Typed, runs: list[Path]) -> None:
    _, values, labels = left(runs[0], "val")
    confident = values.max(1)[values.argmax(1) == labels]
    assert len(set(confident)) > 10
    done = typed(
        "predict", f"run={runs[0]}", f"images={images_of(runs[0]).parent / 'val'}", "reject=0.2", "format=csv", "topk=1"
    )
    answers = np.array([row["answer"] for row in rows(done.stdout)])
    rejected = (answers == "") & (values.argmax(1) == labels)
    assert rejected.sum() in (int(0.2 * len(confident)), int(0.2 * len(confident)) - 1)
    (lowest,) = np.sort(confident)[[rejected.sum()]]
    assert f"below {lowest:.4f}" in done.stderr
    shown = typed("predict", f"run={runs[0]}", f"images={images_of(runs[0])}", "reject=0.99", "topk=1")
    assert "none of these;" in shown.stdout
    (runs[0] / "copy").mkdir(exist_ok=True)
    shutil.copy(runs[0] / "best.ckpt", runs[0] / "copy" / "best.ckpt")
    refused = typed("predict", f"run={runs[0] / 'copy'}", f"images={images_of(runs[0])}", "reject=0.1")
    assert refused.returncode == 2 and "predictions.parquet does not exist" in refused.stderr


@pytest.mark.parametrize("output", ["some.csv", "some.parquet"])
def test_a_signal_leaves_whole_rows(
    typed: Typed, runs: list[Path], monkeypatch: pytest.MonkeyPatch, output: str
) -> None:
    asked = iter([None, "SIGINT"])
    monkeypatch.setattr(signals, "received", lambda: next(asked))
    done = typed("predict", f"run={runs[0]}", f"images={images_of(runs[0])}", "batch_size=4", f"output={output}")
    assert done.returncode == signals.STOPPED
    assert "stopped after 8 of 15 images" in done.stderr
    if output.endswith("csv"):
        assert len(rows(Path(output).read_text())) == 8 and Path(output).read_text().endswith("\n")
    else:
        assert pq.read_table(output).num_rows == 8
    assert not list(Path().glob(".*.tmp"))


def test_what_cannot_be_done_is_said(typed: Typed, runs: list[Path]) -> None:
    images = f"images={images_of(runs[0])}"
    for words, problem in (
        ((images,), "run is required"),
        ((f"run={runs[0]}",), "images is required"),
        ((f"run={runs[0]}", images, "format=parquet"), "format=parquet goes into a file"),
        ((f"run={runs[0]}", images, f"output={runs[0] / 'result.json'}"), "is there already"),
        ((f"run={runs[0]}", images, "output=result.json/x.csv"), "cannot be written"),
        ((f"run={runs[0]}", "images=nowhere"), "images=nowhere does not exist"),
        (("run=nowhere", images), "nowhere"),
    ):
        Path("result.json").write_text("")
        done = typed("predict", *words)
        assert done.returncode == 2 and problem in done.stderr, words
        assert len(done.stderr.splitlines()) == 1
