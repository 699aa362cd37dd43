"""The experiments that come with cnntrain: what they state, what they sweep, and the tutorial in a few steps."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from cnntrain.build.run import build
from cnntrain.config import compose
from cnntrain.config.check import check, plain
from cnntrain.config.groups import builtin_dir
from cnntrain.config.schema import TrainConfig
from cnntrain.config.search_path import groups
from cnntrain.runs import checkpoint

FILES = sorted((builtin_dir() / "experiment").glob("*.yaml"))
SWEEPS = [each for each in FILES if "sweeper" in each.read_text(encoding="utf-8")]


def checked(*overrides: str) -> TrainConfig:
    return check(plain(compose.compose_config("train", list(overrides))), TrainConfig)


def params_of(file: Path) -> dict[str, list[str]]:
    """The values that an experiment sweeps by itself."""
    params = yaml.safe_load(file.read_text(encoding="utf-8"))["hydra"]["sweeper"]["params"]
    return {key: str(values).split(",") for key, values in params.items()}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_experiment_composes_and_states_its_command_and_what_to_expect(file: Path) -> None:
    checked(f"experiment={file.stem}")
    comment = "".join(line for line in file.read_text(encoding="utf-8").splitlines(True) if line.startswith("#"))
    assert f"experiment={file.stem}" in comment
    for word in ("command:", "expected:", *(["hardware:", "runs:"] if file.stem != "smoke" else [])):
        assert word in comment, word


@pytest.mark.no_cover
@pytest.mark.parametrize("file", SWEEPS, ids=lambda file: file.stem)
def test_every_job_of_a_sweep_composes(file: Path) -> None:
    params = params_of(file)
    jobs = list(product(*params.values()))
    assert len(jobs) >= 7
    for index, (key, values) in enumerate(params.items()):  # each value once, the others at their first
        assert key in groups() or key.startswith("++"), f"{key}: a value that is typed would not replace it"
        for value in values:
            job = [*jobs[0][:index], value, *jobs[0][index + 1 :]]
            checked(f"experiment={file.stem}", *(f"{k}={v}" for k, v in zip(params, job, strict=True)))


def test_the_two_steps_share_no_class() -> None:
    source, target = checked("experiment=two_step_source").data, checked("experiment=two_step").data
    assert source.classes == list("01234") and target.classes == list("56789")
    assert (source.image_size, source.channels) == (target.image_size, target.channels)


@pytest.mark.no_cover
def test_the_tutorial_in_a_few_steps(
    typed: Callable[..., Any], result_of: Callable[[Path], dict[str, Any]], tmp_path: Path
) -> None:
    few = ("trainer.device=cpu", "trainer.max_steps=3", "data.image_size=16")
    done = typed("experiment=two_step_source", *few)
    assert done.returncode == 0, done.stderr
    source = tmp_path / done.stdout.splitlines()[-1] / checkpoint.BEST
    assert checkpoint.load(source)["classes"] == list("01234")

    given = ("transfer=linear_probe,scratch", "data.train_per_class=4,8", "seed=0")
    done = typed("-m", "experiment=two_step", f"model.weights={source}", *given, *few)
    assert done.returncode == 0, done.stderr
    runs = [path.parent for path in sorted(tmp_path.glob("outputs/two_step/*/result.json"))]
    assert len(runs) == 4  # the values given, not those of the YAML
    tests: dict[str, dict[int, float]] = {"linear_probe": {}, "scratch": {}}
    for run in runs:
        state, result = checkpoint.load(run / checkpoint.BEST), result_of(run)
        policy, size = state["config"]["transfer"]["name"], state["config"]["data"]["train_per_class"]
        assert (result["status"], state["classes"], result["test"]["count"]) == ("finished", list("56789"), 90)
        assert checkpoint.load(run / checkpoint.LAST)["progress"]["images"] == 3 * 10
        assert f"train {5 * size}, val 89, test 90 images of 5 classes" in (run / "train.log").read_text()
        assert same_stem(state["model"], checkpoint.load(source)["model"]) == (policy == "linear_probe")
        tests[policy][size] = result["test"]["top1"]

    words = ("runs=outputs/two_step", "x=data.train_per_class", "y=test/top1", "curve=transfer", "format=json")
    done = typed("plot", *words)
    assert done.returncode == 0, done.stderr
    curves = json.loads(done.stdout)["metrics"]["test/top1"]
    assert {each["curve"]: {point["x"]: point["mean"] for point in each["points"]} for each in curves} == tests
    assert (tmp_path / "outputs" / "two_step" / "plot.png").stat().st_size > 10_000


def same_stem(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    first = next(name for name, value in one.items() if value.ndim == 4)
    return torch.equal(one[first], other[first])


def test_without_the_first_step_the_second_says_what_is_missing(typed: Callable[..., Any]) -> None:
    done = typed("experiment=two_step")
    assert done.returncode == 2
    assert done.stderr == "cnntrain: <folder>/best.ckpt: there is no such file\n"


def test_airbench_steps_by_its_papers_rates() -> None:
    """They are given there for the sum of the losses of 1,024 images, apart from momentum and from one another."""
    few = ("data=fake", "++data.split=null", "data.train_size=32", "data.val_size=8", "data.batch_size=16")
    config = checked("experiment=airbench", *few, "trainer.device=cpu", "trainer.precision=float32", "trainer.epochs=4")
    run = build(config)
    run.state.progress.epoch = 3
    steps_a_gradient = 1024 * (1 + 1 / (1 - 0.85))
    rate, decay = 11.5 / steps_a_gradient, 0.0153 * 1024 / steps_a_gradient
    groups = run.state.optimizer.state_dict()["param_groups"]
    for group in groups:
        times = 64 if "norm" in group["param_names"][0] else 1
        assert all(("norm" in name) == (times == 64) for name in group["param_names"])
        assert group["base_lr"] == pytest.approx(1024 * rate * times)
        assert group["base_lr"] * group["weight_decay"] == pytest.approx(decay, rel=1e-4)
    assert sum(len(group["param_names"]) for group in groups) == 14
    before, weight = run.state.model.state_dict()["whiten.conv.weight"].clone(), run.state.model.group3.conv2.weight
    for batch in run.loaders.train.batches(run.loaders.train_plan(3)):
        loss, _ = run.objective.loss(run.state.model(batch.inputs), batch.targets)
        assert loss.isfinite() and run.step(loss)
    assert torch.equal(before, run.state.model.state_dict()["whiten.conv.weight"])
    assert not torch.equal(weight[:256, :, 1, 1].detach(), torch.eye(256))
    assert run.step.left == 0 and run.state.lookahead is not None
