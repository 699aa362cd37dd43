"""Where numbers go besides metrics.jsonl: the CSV, and services that may fail where the run need not."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from cnntrain.config.schema import TrainConfig
from cnntrain.core.errors import ConfigError, InputError, StopError
from cnntrain.runs.trackers import base
from cnntrain.runs.trackers.base import NAMES, Expendable, Log
from cnntrain.runs.trackers.csv import FILE, Csv


def log_of(folder: Path, step: int = 0, epoch: int = 0, online: bool = False) -> Log:
    return Log(folder, step, epoch, "pets", online, {"optim.lr": 0.1})


def rows(folder: Path) -> list[dict[str, str]]:
    with open(folder / FILE, newline="") as file:
        return list(csv.DictReader(file))


def test_a_table_has_a_column_for_each_metric(tmp_path: Path) -> None:
    sink = Csv(tmp_path / FILE, 0, 0)
    sink.log(1, {"epoch": 0, "train/loss": 2.5})
    sink.log(2, {"epoch": 1, "train/loss": 1.5, "val/top1": 0.5})
    sink.log(3, {"epoch": 1, "train/loss": float("nan")})
    assert rows(tmp_path) == [
        {"step": "1", "epoch": "0", "train/loss": "2.5", "val/top1": ""},
        {"step": "2", "epoch": "1", "train/loss": "1.5", "val/top1": "0.5"},
        {"step": "3", "epoch": "1", "train/loss": "nan", "val/top1": ""},
    ]


def test_a_resumed_run_goes_on_with_its_table(tmp_path: Path) -> None:
    killed, whole = (tmp_path / name for name in ("killed", "whole"))
    for folder in (killed, whole):
        folder.mkdir()
        sink = Csv(folder / FILE, 0, 0)
        for step in (4, 8):
            sink.log(step, {"epoch": step // 4, "val/top1": step / 10})
    sink = Csv(killed / FILE, 4, 1)
    sink.log(8, {"epoch": 2, "val/top1": 0.8})
    assert (killed / FILE).read_bytes() == (whole / FILE).read_bytes()
    (killed / FILE).write_text("step,epoch\n4,one\n")
    with pytest.raises(InputError, match=r"metrics\.csv cannot be read .*: remove it, and it begins anew"):
        Csv(killed / FILE, 4, 1)


class Service:
    """Stands for wandb: it remembers what it is told, and fails when asked to."""

    def __init__(self) -> None:
        self.opened: list[dict[str, Any]] = []
        self.told: list[Any] = []
        self.fails: Exception | None = None
        self.summary: dict[str, Any] = {}

    def init(self, **settings: Any) -> Service:
        self.opened.append(settings)
        return self

    def log(self, values: dict[str, Any]) -> None:
        if self.fails is not None:
            raise self.fails
        self.told.append(values)

    def define_metric(self, name: str, step_metric: str | None = None) -> None:
        assert step_metric in (None, "step")

    def finish(self) -> None:
        self.told.append("finished")


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    found, module = Service(), ModuleType("wandb")
    module.init, module.Settings, module.Image = found.init, SimpleNamespace, lambda image: tuple(image.shape)  # type: ignore[attr-defined]
    module.__spec__ = SimpleNamespace()  # type: ignore[assignment]  # what importlib looks for
    monkeypatch.setitem(sys.modules, "wandb", module)
    return found


def test_a_service_is_told_everything_and_a_resume_is_the_same_run(tmp_path: Path, service: Service) -> None:
    for step in (0, 4):
        (sink,) = base.sinks(["wandb"], log_of(tmp_path, step), pytest.fail)
        sink.images("inputs", torch.zeros(2, 3, 4, 5))
        sink.log(step + 4, {"val/top1": 0.5})
        sink.hparams({"lr": 0.1}, {"test/top1": 0.7})
        sink.close()
    first, second = service.opened
    assert first == second and (first["mode"], first["resume"], first["project"]) == ("offline", "allow", "pets")
    assert first["config"] == {"optim.lr": 0.1} and json.loads((tmp_path / NAMES).read_text()) == {"wandb": first["id"]}
    assert service.told[:3] == [{"inputs": [(3, 4, 5)] * 2}, {"step": 4, "val/top1": 0.5}, "finished"]
    assert service.told[4] == {"step": 8, "val/top1": 0.5} and service.summary == {"test/top1": 0.7}
    base.sinks(["wandb"], log_of(tmp_path, online=True), pytest.fail)
    assert service.opened[-1]["mode"] == "online"


def test_a_service_that_fails_is_given_up_and_a_stop_is_not(tmp_path: Path, service: Service) -> None:
    said: list[str] = []
    (sink,) = base.sinks(["wandb"], log_of(tmp_path), said.append)
    service.fails = TimeoutError("no answer\x1b[2J")
    sink.log(1, {"loss": 1.0})
    service.fails = None
    sink.log(2, {"loss": 1.0})
    sink.close()
    assert said == [
        "warning: wandb is given up, and the run goes on without it: TimeoutError: no answer\\x1b[2J"
    ] and service.told == []  # fmt: skip

    def refuse() -> Any:
        raise RuntimeError("log in first")

    Expendable("wandb", refuse, said.append).log(1, {})
    assert "RuntimeError: log in first" in said[1] and len(said) == 2
    (sink,) = base.sinks(["wandb"], log_of(tmp_path), said.append)
    service.fails = StopError()
    with pytest.raises(StopError):
        sink.log(1, {})


def test_a_run_that_loses_its_service_finishes(
    configure: Callable[..., TrainConfig], service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    service.fails = ConnectionError("gone")
    ended = configure("trainer.epochs=1", "report.trackers=[csv,wandb]").execute([])
    assert ended.code == 0 and ended.made is not None
    warning = "warning: wandb is given up, and the run goes on without it: ConnectionError: gone"
    assert capsys.readouterr().out.count(warning) == 1
    place = Path(ended.made)
    assert warning in (place / "train.log").read_text()
    assert len(rows(place)) == 2 and not (place / "tb").exists()
    assert service.opened[0]["name"] == f"{place.parent.name}/{place.name}"


def test_a_package_that_is_missing_is_named_before_the_run(
    configure: Callable[..., TrainConfig], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(base, "PACKAGES", {"wandb": "no_such_package"})
    with pytest.raises(ConfigError, match=r'^report.trackers: wandb is not .* pip install "cnntrain\[wandb\]"$'):
        configure("report.trackers=[wandb]", f"output={tmp_path / 'runs'}").execute([])
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["report.trackers=[csv,csv]"], "trackers must name each tracker once, not csv twice"),
        (["report.online=true"], "online=true is of wandb and mlflow, and report.trackers has neither"),
        (["report.trackers=[neptune]"], "tensorboard, csv, wandb, mlflow"),
    ],
)
def test_what_has_no_meaning_is_refused(configure: Callable[..., TrainConfig], words: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        configure(*words)


def test_a_damaged_file_of_names_is_named(tmp_path: Path) -> None:
    (tmp_path / NAMES).write_text("[")
    with pytest.raises(InputError, match=r"trackers\.json cannot be read .*: remove it"):
        log_of(tmp_path).run_id("wandb")


def test_mlflow_is_the_same_run_after_a_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)
    for step in (0, 4):
        (sink,) = base.sinks(["mlflow"], log_of(Path("."), step), pytest.fail)
        sink.log(step + 4, {"val/top1": 0.5})
        sink.close()
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("pets").experiment_id])
    assert [each.step for each in client.get_metric_history(run.info.run_id, "val/top1")] == [4, 8]
    assert (run.info.status, run.data.params) == ("FINISHED", {"optim.lr": "0.1"})
