"""What a run ends with, in the parts of which `result.json` is made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from cnntrain.core import dist
from cnntrain.core.errors import RunError, StopError
from cnntrain.training import outcome
from cnntrain.training.progress import Progress

MakeRun = Callable[..., Any]


def test_the_speed_is_of_training_steps() -> None:
    assert outcome._speed(Progress(seconds=4.0, data_wait=1.0, images=200)) == {
        "seconds": 4.0, "images_per_second": 50.0, "data_wait": 0.25,
    }  # fmt: skip
    assert outcome._speed(Progress()) == {"seconds": 0.0, "images_per_second": 0.0, "data_wait": 0.0}


def test_a_stop_on_the_first_rank_is_one_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped() -> None:
        raise StopError

    assert outcome._once(lambda: 5) == 5
    monkeypatch.setattr(dist, "from_first", lambda make: make())  # returns: the others are told
    with pytest.raises(StopError):
        outcome._once(stopped)
    monkeypatch.setattr(dist, "from_first", lambda make: (True, None))
    with pytest.raises(StopError):
        outcome._once(lambda: 5)


def test_the_end_is_told_of_the_run_as_it_stands(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run("transfer=freeze_depth", "transfer.depth=1", "model.pretrained=false", "optim.weight_decay=0.3")
    found = outcome._finished(run.run, tmp_path, run.report)
    assert (found.parts, found.val, found.lr, found.weight_decay) == (("val", "test"), "val", 0.02, 0.3)
    assert sum(batch.count for batch in found.batches("train")) == 48
    assert [batch.count for batch in found.batches("val")] == [16]
    (judged,) = found.judge("val")
    assert judged["count"] == 16 and judged["loss"] == pytest.approx(run.judged("val")["loss"])
    assert found.majority.keys() == {"train", "val", "test"}
    assert found.model is run.eval_model and found.folder == tmp_path
    run.run.loaders.test = None
    assert outcome._finished(run.run, tmp_path, run.report).parts == ("val",)


def result(run: Any, folder: Path, **more: Any) -> dict[str, Any]:
    commands = [{"command": "first"}, {"command": "second"}, {"command": "third"}]
    return outcome.result(run.run, folder, {"status": "finished", "test": None, **more}, commands)


def test_sizes_are_counted_by_what_is_trained(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run("transfer=freeze_depth", "transfer.depth=2", "model=resnet20", "model.pretrained=false")
    found = result(run, tmp_path)
    parameters = dict(run.model.named_parameters())
    frozen = [value.numel() for name, value in parameters.items() if name in run.freezing.names]
    every = sum(value.numel() for value in parameters.values())
    assert found["model"]["params"] == every and found["model"]["trainable_params"] == every - sum(frozen)
    assert found["model"]["auxiliary_params"] == 0
    assert found["frozen"]["params"] == sum(frozen) > 0
    assert found["frozen"]["buffers"] == sum(value.numel() for value in run.freezing.frozen_buffers().values()) > 0
    assert (found["frozen"]["cut"], found["frozen"]["kept"], found["frozen"]["hash_end"]) == ([], {}, None)
    assert (found["command"], found["resumes"]) == ("first", [{"command": "second"}, {"command": "third"}])
    assert found["best"] is None and "error" not in found
    assert (found["data"]["name"], found["data"]["classes"]) == ("fake", 7)
    assert found["data"]["majority"] == outcome._majority(run.run)
    run.progress.best = {"epoch": 2, "step": 6, "val/loss": 1.0, "val/top1": 0.5, "val/top5": 1.0, "lr": 0.1}
    run.progress.kept = {"cut": ["add"], "kept": {"train": "ram"}, "key": "", "place": "ram"}
    again = result(run, tmp_path, error="none", hash_end="ab", conclusion={"probes": []}, weights_sha256="cd")
    assert again["best"] == {"epoch": 2, "val/loss": 1.0, "val/top1": 0.5, "val/top5": 1.0}
    assert (again["error"], again["probes"], again["weights_sha256"]) == ("none", [], "cd")
    assert (again["frozen"]["cut"], again["frozen"]["kept"]) == (["add"], {"train": "ram"})
    assert (again["frozen"]["hash_end"], again["frozen"]["hash_start"]) == ("ab", run.progress.hash_start)


def test_the_end_tests_the_best_weights_once(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run("trainer.epochs=1", folder=tmp_path / "run")
    run.fit()
    held: list[Any] = []
    monkeypatch.setattr(type(run.loaders), "hold", lambda self, parts, passes, *_: held.append((parts, passes)))
    best = {name: value.clone() for name, value in run.model.state_dict().items()}
    expected = run.judged("test")
    with torch.no_grad():
        nn.init.zeros_(next(run.model.parameters()))
    logged: list[Any] = []
    run.report.log = lambda step, values: logged.append((step, values))
    run.report.hparams = lambda choices, values: logged.append((choices, values))
    found, answers = outcome.finish(run.run, tmp_path / "run", run.report)
    assert answers is not None and answers.about["part"] == "test"
    assert held == [(["test"], 1)]
    assert found["test"] == {name: expected[name] for name in found["test"]} and found["test"]["count"] == 16
    assert all(torch.equal(value, best[name]) for name, value in run.model.state_dict().items())
    values = {f"test/{name}": expected[name] for name in ("loss", "top1", "top5")}
    (first, (choices, last)) = logged
    assert first == (3, values) and last == values
    assert (choices["lr"], choices["batch_size"], choices["seed"], choices["model"]) == (0.02, 16, 0, "lenet5")
    run.progress.hash_start = "another"
    with pytest.raises(RunError, match="frozen parameters or buffers have changed"):
        outcome.finish(run.run, tmp_path / "run", run.report)
