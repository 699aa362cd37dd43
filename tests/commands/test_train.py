"""The command from its configuration to its folder, and through real processes that are really killed."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import cnntrain
from cnntrain.commands.train import Train
from cnntrain.core import signals
from cnntrain.core.digest import digest
from cnntrain.core.errors import ConfigError, InputError, RunError
from cnntrain.core.intervals import of_proportion
from cnntrain.core.lock import held
from cnntrain.runs import checkpoint, folder
from cnntrain.training import loop

Configure = Callable[..., Train]
Perform = Callable[..., str]
SLOW = (
    "data=fake", "model=resnet20", "data.image_size=16", "data.train_size=64", "data.val_size=16", "data.test_size=16",
    "data.batch_size=16", "data.num_classes=7", "trainer.device=cpu", "trainer.epochs=20", "optim.lr=0.02",
    "model.drop_rate=0.2", "augment=flip_crop", "trainer.ema_decay=0.9", "trainer.grad_accum=2",
    "schedule.patience=2", "schedule.warmup_epochs=1.5", "checkpoint.every_steps=3",
)  # fmt: skip


def only_run(output: Path) -> Path:
    (path,) = output.glob("*/*/config.yaml")
    return path.parent


def run(config: Train) -> Path:
    assert config.execute([]).code == 0
    return only_run(Path(config.output))


def test_a_run_leaves_everything_in_its_folder(configure: Configure, perform: Perform) -> None:
    config = configure()
    shown = perform(config)
    place = only_run(Path(config.output))
    assert re.fullmatch(r"\d{8}-\d{6}", place.name)
    assert place.parent.name == "fake-lenet5-full"
    names = {each.name for each in place.iterdir()}
    assert names >= {"config.yaml", "metrics.jsonl", "result.json", "last.ckpt", "best.ckpt", "tb", "train.log"}
    assert shown.splitlines()[-1] == str(place)
    assert not list(place.glob(".*.tmp"))
    train = json.loads((place / "result.json").read_text())["train"]
    assert train["images_per_second"] * train["seconds"] == pytest.approx(3 * 48)


def test_the_resolved_config_is_plain_and_complete(configure: Configure) -> None:
    place = run(configure("optim.lr=0.123"))
    tree = yaml.safe_load((place / "config.yaml").read_text())
    assert tree["optim"]["lr"] == 0.123
    assert tree["resume"] is None
    assert folder.config(place) == tree
    assert checkpoint.load(place / checkpoint.LAST)["config"] == tree


def test_the_best_checkpoint_is_tested_once(configure: Configure, result_of: Any, metrics_of: Any) -> None:
    place = run(configure("trainer.epochs=4", "data.test_size=33"))
    result = result_of(place)
    best = checkpoint.load(place / checkpoint.BEST)
    assert best["progress"]["epoch"] == result["best"]["epoch"]
    assert result["test"]["count"] == 33
    assert result["test_interval"]["top1"] == of_proportion(result["test"]["top1"], 33)
    assert result["test_interval"].keys() == {"top1", "top5"}
    assert sum("test/top1" in line for line in metrics_of(place)) == 1
    last = checkpoint.load(place / checkpoint.LAST)
    assert result["weights_sha256"] == digest(last["model"])


def test_a_set_without_a_test_part_is_not_tested(configure: Configure, result_of: Any) -> None:
    place = run(configure("data.test_size=0", "trainer.epochs=1"))
    assert result_of(place)["test"] is None and result_of(place)["test_interval"] is None
    assert result_of(place)["status"] == "finished"


def test_the_name_is_the_folders(configure: Configure) -> None:
    assert run(configure("name=mine", "trainer.epochs=1")).parent.name == "mine"


def test_two_equal_runs_end_with_the_same_weights(configure: Configure, tmp_path: Path, result_of: Any) -> None:
    digests = set()
    for name in ("a", "b"):
        config = replace(configure("trainer.epochs=1"), output=str(tmp_path / name))
        digests.add(result_of(run(config))["weights_sha256"])
    assert len(digests) == 1


def test_frozen_parts_are_proved_and_counted(configure: Configure, result_of: Any) -> None:
    place = run(configure("model=resnet20", "data.image_size=16", "transfer=linear_probe", "model.pretrained=false",
                          "trainer.epochs=1"))  # fmt: skip
    result = result_of(place)
    frozen, model = result["frozen"], result["model"]
    assert frozen["params"] == model["params"] - model["trainable_params"] > 0
    assert model["trainable_params"] == 64 * 7 + 7
    assert frozen["buffers"] > 0
    assert frozen["hash_start"] == frozen["hash_end"]


def test_what_is_no_number_is_null_in_every_file(configure: Configure) -> None:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    config = configure("optim.lr=1e30", "trainer.log_every=1", "trainer.epochs=1")
    with pytest.raises(RunError, match="the training loss is nan or infinite in step 3 of epoch 1: lower"):
        config.execute([])
    place = only_run(Path(config.output))
    lines = [json.loads(line, parse_constant=refuse) for line in (place / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1] == {"step": 3, "train/loss": None, "lr": 1e30}
    result = json.loads((place / "result.json").read_text(), parse_constant=refuse)
    assert result["status"] == "failed" and result["best"] is None


def test_a_frozen_part_that_moves_fails_the_run(
    configure: Configure, monkeypatch: pytest.MonkeyPatch, result_of: Any
) -> None:
    fit = loop.fit

    def meddle(training: Any, *others: Any) -> str:
        ended = fit(training, *others)
        with torch.no_grad():
            next(training.state.model.parameters()).add_(1)
        return ended

    monkeypatch.setattr(loop, "fit", meddle)
    config = configure("transfer=linear_probe", "model.pretrained=false", "trainer.epochs=1")
    with pytest.raises(RunError, match="frozen parameters or buffers have changed"):
        config.execute([])
    result = result_of(only_run(Path(config.output)))
    assert result["status"] == "failed"
    assert result["error"].startswith("RunError: frozen parameters")


def test_a_failed_run_says_why_in_its_result(configure: Configure, result_of: Any) -> None:
    config = configure("optim.lr=1e30")
    with pytest.raises(RunError, match=r"lower optim\.lr"):
        config.execute([])
    result = result_of(only_run(Path(config.output)))
    assert result["status"] == "failed"
    assert "lower optim.lr" in result["error"]


def test_a_folder_in_use_is_refused(configure: Configure) -> None:
    place = run(configure("trainer.epochs=1"))
    config = configure("trainer.epochs=2", f"resume={place}")
    with held(place), pytest.raises(InputError, match="is in use by a run under way"):
        config.execute([])


def test_a_resume_without_a_checkpoint_starts_over_in_the_folder(configure: Configure, result_of: Any) -> None:
    place = run(configure("trainer.epochs=1"))
    for name in (checkpoint.LAST, checkpoint.BEST, "result.json"):
        (place / name).unlink()
    (place / f".{checkpoint.LAST}.99.tmp").write_bytes(b"half")
    assert run(configure("trainer.epochs=1", f"resume={place}")) == place
    assert result_of(place)["status"] == "finished"
    assert not list(place.glob(".*.tmp"))


def test_a_damaged_checkpoint_is_named_and_nothing_is_written(configure: Configure) -> None:
    place = run(configure("trainer.epochs=1"))
    path = place / checkpoint.LAST
    path.write_bytes(path.read_bytes()[:1000])
    before = {each.name: each.stat().st_mtime_ns for each in place.iterdir() if each.name != ".lock"}
    with pytest.raises(InputError, match=r"last\.ckpt cannot be read"):
        configure("trainer.epochs=2", f"resume={place}").execute([])
    assert {each.name: each.stat().st_mtime_ns for each in place.iterdir() if each.name != ".lock"} == before


def test_a_run_with_no_step_left_stays_what_it_was(configure: Configure, perform: Perform) -> None:
    place = Path(perform(configure("trainer.epochs=2", "trainer.early_stopping=9")).splitlines()[-1])
    before = {each.name: each.read_bytes() for each in place.iterdir() if each.is_file() and each.name != ".lock"}
    again = ("trainer.early_stopping=9", f"resume={place}")
    with pytest.raises(ConfigError, match=r"no step remains.* of seed means.*trainer\.epochs=2 are done: more train"):
        configure(*again, "trainer.epochs=2", "seed=1").execute([])
    with pytest.raises(ConfigError, match=r"of trainer\.epochs, trainer\.max_steps means.*max_steps=4 are done: more"):
        configure(*again, "trainer.epochs=9", "trainer.max_steps=4").execute([])
    assert perform(configure(*again, "trainer.epochs=2")) == f"{place}\n"
    assert before == {name: (place / name).read_bytes() for name in before}


def test_a_run_from_before_a_key_comes_to_its_end(configure: Configure, result_of: Any) -> None:
    """Killed behind its last step, it lacks a key, whose default is no change."""
    place = run(configure("trainer.epochs=1"))
    for name in (checkpoint.LAST, checkpoint.BEST):
        state = checkpoint.load(place / name)
        del state["config"]["trainer"]["watch"], state["format"]
        (place / name).unlink()
        checkpoint.save(place / name, state)
    (place / "result.json").unlink()
    assert run(configure("trainer.epochs=1", f"resume={place}")) == place
    ended = result_of(place)
    assert ended["status"] == "finished" and ended["resumes"][-1]["difference"] == {}


def test_early_stopping_is_said_and_still_holds_at_a_resume(configure: Configure, perform: Perform) -> None:
    words = ("optim.lr=1e-30", "trainer.early_stopping=1", "schedule=constant")
    shown = perform(configure(*words, "trainer.epochs=5"))
    said = "trainer.early_stopping=1 holds, after 1 epochs without a better val/top1"
    assert f"{said}: a larger one, or null, trains it further" in shown
    place = Path(shown.splitlines()[-1])
    with pytest.raises(ConfigError, match=f"a change of trainer.epochs means nothing; {said}"):
        configure(*words, "trainer.epochs=20", f"resume={place}").execute([])


def test_each_resume_is_a_record_and_the_configuration_is_what_was_trained(
    configure: Configure, monkeypatch: pytest.MonkeyPatch, result_of: Any
) -> None:
    place = Path(str(configure("trainer.epochs=1").execute(["trainer.epochs=1"]).made))
    again = configure("trainer.epochs=2", "seed=1", f"resume={place}")

    def killed(*_: Any) -> None:
        assert folder.config(place)["seed"] == 0  # nothing is trained yet
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop, "fit", killed)
        with pytest.raises(KeyboardInterrupt):
            again.execute(["seed=1"])
    assert folder.config(place)["seed"] == checkpoint.load(place / checkpoint.LAST)["config"]["seed"] == 0
    again.execute(["seed=1", "name=a b"])
    assert folder.config(place) == checkpoint.load(place / checkpoint.LAST)["config"]
    assert folder.config(place)["seed"] == 1
    result = result_of(place)
    assert result["command"] == "cnntrain trainer.epochs=1"
    difference = {"seed": [0, 1], "trainer.epochs": [1, 2]}
    for record, command in zip(result["resumes"], ("cnntrain seed=1", "cnntrain seed=1 'name=a b'"), strict=True):
        assert datetime.fromisoformat(record.pop("when")).tzinfo is not None
        assert record == {"command": command, "epoch": 1, "step": 3, "difference": difference}
        assert f"  {command}, seed: 0 -> 1, trainer.epochs: 1 -> 2\n" in (place / "train.log").read_text()


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(
    configure: Configure, perform: Perform, result_of: Any
) -> None:
    words = ("trainer.epochs=3", "checkpoint.time_share=1")
    place = run(configure(*words))
    expected = result_of(place)
    (place / checkpoint.LAST).write_bytes((place / checkpoint.LAST).read_bytes()[:1000])
    shown = perform(configure(*words, f"resume={place}"))
    assert "last.ckpt cannot be read" in shown and "the checkpoint before it is taken, of epoch 2" in shown
    for key in ("weights_sha256", "best", "test"):
        assert result_of(place)[key] == expected[key]


def test_changed_data_is_named_at_a_resume(configure: Configure, perform: Perform) -> None:
    place = run(configure("trainer.epochs=1"))
    shown = perform(configure("trainer.epochs=2", "data.split_seed=5", f"resume={place}"))
    assert "the data's files or their split have changed: this resume is inexact" in shown


def test_a_signal_ends_a_run_with_75_after_saving(
    configure: Configure, monkeypatch: pytest.MonkeyPatch, perform: Perform, result_of: Any
) -> None:
    config = configure()
    with monkeypatch.context() as patch:
        patch.setattr(signals, "received", lambda: "SIGTERM")
        shown = perform(config, code=75).splitlines()
    place = only_run(Path(config.output))
    assert result_of(place)["status"] == "stopped"
    assert any(line.endswith(f"to continue: cnntrain resume={place}") for line in shown)
    assert shown[-1] == str(place)
    assert checkpoint.load(place / checkpoint.LAST)["progress"]["step"] == 1
    shown = perform(configure(f"resume={place}"))
    assert result_of(place)["status"] == "finished"
    assert "resumed at epoch 0, step 1" in shown


def wait_for_step(process: subprocess.Popen[str], output: Path, least: int) -> Path:
    """Until the run under `output` has logged a step from `least` on; returns its folder."""
    start = time.monotonic()
    while time.monotonic() - start < 200:
        assert process.poll() is None, process.communicate()
        for path in output.glob("*/*/metrics.jsonl"):
            lines = path.read_text().splitlines()
            if any(int(match[1]) >= least for line in lines if (match := re.match(r'\{"step": (\d+),', line))):
                return path.parent
        time.sleep(0.01)
    raise AssertionError("no such step")


def end(process: subprocess.Popen[str], number: int) -> tuple[int, str, str]:
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


@pytest.mark.no_cover
def test_killed_then_stopped_then_resumed_a_run_ends_as_one_that_was_left_alone(
    configure: Configure, cnntrain: Callable[..., Any], tmp_path: Path, result_of: Any, metrics_of: Any
) -> None:
    expected = result_of(run(configure(*SLOW[1:])))
    output = tmp_path / "killed"
    killed = cnntrain(*SLOW, f"output={output}", wait=False)
    place = wait_for_step(killed, output, 8)
    assert end(killed, signal.SIGKILL)[0] == -signal.SIGKILL
    assert not (place / "result.json").exists()

    stopped = cnntrain("resume=latest", f"output={output}", wait=False)
    reached = max(line["step"] for line in metrics_of(place))
    wait_for_step(stopped, output, reached + 8)
    code, out, err = end(stopped, signal.SIGTERM)
    assert (code, err) == (75, "")
    assert out.splitlines()[-1] == str(place)
    assert result_of(place)["status"] == "stopped"

    assert configure(*SLOW[1:], f"resume={place}").execute([]).code == 0
    result = result_of(place)
    assert result["status"] == "finished"
    assert result["weights_sha256"] == expected["weights_sha256"]
    assert result["best"] == expected["best"]
    assert result["test"] == expected["test"]
    epochs = [line for line in metrics_of(place) if "epoch" in line]
    assert epochs == [line for line in metrics_of(Path(expected["run_dir"])) if "epoch" in line]


@pytest.mark.gpu
def test_a_run_on_a_gpu_ends_with_the_same_weights_again(cnntrain: Any, tmp_path: Path) -> None:
    """And is resumed after SIGKILL: each command is a process that has not used the GPU before."""
    words = ("experiment=smoke", "trainer.device=cuda", "trainer.deterministic=true", "model=resnet20", "output=runs",
             "augment=flip_crop", "trainer.ema_decay=0.9", "trainer.max_steps=null", "trainer.epochs=40",
             "checkpoint.time_share=1")  # fmt: skip
    assert cnntrain(*words, "name=whole").returncode == 0
    process = cnntrain(*words, "name=killed", wait=False)
    while not list((tmp_path / "runs" / "killed").glob("*/last.ckpt")):
        time.sleep(0.01)
    process.kill()
    process.communicate()
    (killed,) = (tmp_path / "runs" / "killed").glob("*")
    assert cnntrain(f'resume="{killed}"').returncode == 0
    (whole,) = (tmp_path / "runs" / "whole").glob("*")
    found = [json.loads((each / "result.json").read_text(encoding="utf-8")) for each in (whole, killed)]
    assert found[0]["weights_sha256"] == found[1]["weights_sha256"]
    assert found[0]["peak_memory_of"] == "tensors on cuda:0" and found[0]["peak_memory_bytes"] > 1 << 20
    assert len(found[1]["resumes"]) == 1


def test_what_is_watched_is_in_the_runs_tensorboard(tmp_path: Path) -> None:
    words = ("data=fake", "data.train_size=32", "data.val_size=8", "data.test_size=8", "data.batch_size=16")
    result = cnntrain.train(*words, "model=lenet5", "trainer.epochs=2", "trainer.watch=true", f"output={tmp_path}")
    events = EventAccumulator(str(Path(result["run_dir"]) / "tb")).Reload()
    tags = events.Tags()
    assert [each.step for each in events.Scalars("gradient/classifier")] == [1, 3]  # of two steps an epoch
    assert "activations/classifier" in tags["histograms"] and "update/classifier" in tags["scalars"]
    lines = (Path(result["run_dir"]) / "metrics.jsonl").read_text()
    assert "gradient/" not in lines
