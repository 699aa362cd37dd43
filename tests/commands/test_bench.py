"""`cnntrain bench`: what it measures, what it says limits a training, and that it leaves nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from composing import composed

from cnntrain.build import run as building
from cnntrain.commands.bench import Bench
from cnntrain.config.check import check
from cnntrain.core.digest import digest
from cnntrain.core.errors import ConfigError
from cnntrain.data.batches.resident import Resident
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
