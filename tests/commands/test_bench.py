"""`cnntrain bench`: what it measures, what it says limits a training, and that it leaves nothing."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from composing import composed

import cnntrain
from cnntrain.build import run as building
from cnntrain.cli import compose_and_start
from cnntrain.commands.bench import Bench
from cnntrain.config.check import check
from cnntrain.core.digest import digest
from cnntrain.core.errors import ConfigError, UserError
from cnntrain.data.batches.resident import Resident
from cnntrain.export import latency
from cnntrain.runs.report import Report
from cnntrain.training import speed
from cnntrain.training.speed import Speed

Perform = Callable[..., str]
Settings = Callable[..., Bench]
WORDS = (
    "data=fake", "data.train_size=64", "data.val_size=8", "data.test_size=0", "data.batch_size=16", "model=lenet5",
    "trainer.device=cpu", "augment=flip_crop", "steps=3", "rounds=2",
)  # fmt: skip


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return lambda *words: check({**composed([*WORDS, *words], "bench"), "output": str(tmp_path / "out")}, Bench)


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("trainer.grad_accum=2", "augment.mixup=0.2"),
        ("transfer=linear_probe", "model.pretrained=false"),
        ("steps=99",),
    ],
)
def test_what_is_measured_is_told_and_nothing_is_trained_or_left(
    words: tuple[str, ...], settings: Settings, perform: Perform, tmp_path: Path, monkeypatch: Any
) -> None:
    built: list[Any] = []
    build = building.build

    def kept(*what: Any) -> Any:
        built.append(build(*what))
        built.append(digest(dict(built[0].state.model.named_parameters())))
        return built[0]

    monkeypatch.setattr(building, "build", kept)
    found = json.loads(perform(settings(*words, "format=json")))
    assert all(value > 0 for value in found["images_per_second"].values())
    assert 0 <= found["waiting"] < 1 and found["limit"] in ("step", "loop", "data")
    assert (found["steps"], found["rounds"], found["batch_size"]) == (4 if "steps=99" in words else 3, 2, 16)
    run, before = built
    assert digest(dict(run.state.model.named_parameters())) == before
    assert run.state.progress.step == 2 * 3 * found["steps"]  # alone and in training, in three rounds
    assert run.state.progress.images == 3 * 16 * found["steps"]
    assert not (tmp_path / "out").exists()


def test_people_see_a_table_and_what_to_do(settings: Settings, perform: Perform) -> None:
    shown = perform(settings())
    assert shown.startswith("lenet5 on fake, flip_crop augmentation, batch 16 on 1 x cpu in float32\n")
    for line in (
        "data alone: read, augmented",
        "step alone: forward, backward, update",
        "\ntraining  ",
        "it is limited by",
    ):
        assert line in shown
    assert "| training |" in perform(settings("format=markdown"))


def test_images_that_come_late_are_said_to_limit(settings: Settings, perform: Perform, monkeypatch: Any) -> None:
    ready = Resident.batches

    def late(self: Resident, plan: Any) -> Iterator[Any]:
        for each in ready(self, plan):
            time.sleep(0.05)
            yield each

    monkeypatch.setattr(Resident, "batches", late)
    shown = perform(settings())
    assert "it is limited by images that are not there in time: they are in memory, so it is augment=flip_crop" in shown
    assert "training waits for its batches" in shown


def test_what_the_loop_does_beside_is_said_to_limit(settings: Settings, perform: Perform, monkeypatch: Any) -> None:
    monkeypatch.setattr(Report, "step_done", lambda *what: time.sleep(0.05))
    assert json.loads(perform(settings("format=json")))["limit"] == "loop"


def test_reading_processes_are_named(settings: Settings, perform: Perform, monkeypatch: Any) -> None:
    monkeypatch.setattr(speed.Speed, "limit", "data")
    shown = perform(settings("data.resident=off", "data.num_workers=1"))
    assert "in time, with 1 processes that read: data.resident and data.pack_size keep images in memory" in shown


@pytest.mark.parametrize(
    ("ratio", "waiting", "limit"), [(0.96, 0.04, "step"), (1.2, 0, "step"), (0.5, 0.3, "data"), (0.5, 0.2, "loop")]
)
def test_the_limit_is_what_takes_most_beside_the_step(ratio: float, waiting: float, limit: str) -> None:
    assert Speed(1.0, 1.0, ratio, ratio, waiting).limit == limit


def test_a_run_is_not_measured(settings: Settings) -> None:
    with pytest.raises(ConfigError, match="resume has no meaning for cnntrain bench"):
        settings("resume=latest")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    words = [each for each in WORDS if each not in ("steps=3", "rounds=2", "data.val_size=8")]
    words += ["data.val_size=30", "trainer.epochs=1", f"output={folder}"]
    return Path(cnntrain.train(*words)["run_dir"])


@pytest.fixture
def short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "TURN", 0.002)
    monkeypatch.setattr(latency, "SETTLED", 0.0)


def bench(*words: str) -> None:
    assert compose_and_start("bench", [*words, "rounds=1"]).code == 0


@pytest.mark.usefixtures("short_turns")
def test_a_trained_network_is_measured_in_four_forms(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = (f"run={run}", "batch_sizes=[1,3]", "threads=[1]", "images=20", "format=json")
    bench(*words)
    found = json.loads(capsys.readouterr().out)
    assert [(each["variant"], each["batch_size"]) for each in found["latency"]] == [
        (name, size) for size in (1, 3) for name in ("eager", "folded", "onnx", "int8")
    ]
    for each in found["latency"]:
        assert each["ms"] >= each["fastest_ms"] > 0 and each["ratio"] > 0
        assert each["images_per_second"] == pytest.approx(1000 * each["batch_size"] / each["ms"])
    assert (found["model"], found["image_size"], found["rounds"], found["left_out"]) == ("lenet5", 32, 1, None)
    answers = found["answers"]
    assert list(answers) == ["eager", "folded", "onnx", "int8"]
    for name, each in answers.items():
        assert each["count"] == 20 and 0 <= each["top1"] <= 1
        assert each["largest"] < (0.1 if name == "int8" else 1e-4)


@pytest.mark.usefixtures("short_turns")
def test_people_see_a_row_a_form_and_what_is_left_out(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    bench(f"run={run / 'last.ckpt'}", "batch_sizes=[2]", "threads=[1]", "images=0", "format=markdown")
    shown = capsys.readouterr().out
    assert shown.startswith("## lenet5 alone, 3 x 32 x 32, in float32 on the CPU\n")
    assert "| eager | 1 | 2 |" in shown and "| folded | 1 | 2 |" in shown
    assert "| onnx |" not in shown and "top-1" not in shown
    assert 'needs the package onnxruntime, which is not installed: pip install "cnntrain[export]"' in shown
    assert "images=0: int8, which is calibrated by images of val, and accuracies are left out" in shown
    bench(f"run={run}", "batch_sizes=[2]", "threads=[1]", "images=8")
    assert "8 images of val were judged" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["batch_sizes=[1]", "images=5"], "batch_sizes, images: for a trained network alone, give run="),
        (["run=some", "devices=2"], "is measured in one process, leave it out"),
        (["run=some", "threads=[]"], r"threads=\[\] must be one number or more, each once"),
        (["run=some", "batch_sizes=[4,4]"], r"batch_sizes=\[4, 4\] must be"),
    ],
)
def test_keys_without_meaning_are_refused(words: list[str], problem: str, settings: Settings) -> None:
    with pytest.raises(ConfigError, match=problem):
        settings(*words)


def test_a_run_is_measured_with_its_own_configuration(settings: Settings, tmp_path: Path) -> None:
    typed = ["run=some", "steps=5", "model=vgg16", "rounds=3"]
    with pytest.raises(ConfigError, match="measured with its own configuration: leave out model, steps, or"):
        settings(*typed).execute(typed)
    with pytest.raises(UserError, match=r"best\.ckpt"):
        settings(f"run={tmp_path}").execute([])
    with pytest.raises(ConfigError, match="give its run's folder"):
        settings("run=model.onnx").execute([])
    with pytest.raises(ConfigError, match=r"there is no run with a best\.ckpt under"):
        settings("run=latest").execute([])
