from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import FrozenInstanceError, asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from cnntrain.build import model as building
from cnntrain.build.run import build
from cnntrain.core.errors import ConfigError, InputError
from cnntrain.data.batches.statistics import mean_and_deviation
from cnntrain.training.precision import arithmetic
from cnntrain.training.run import Run

MakeRun = Callable[..., Run]


def same(one: Run, other: Run) -> bool:
    pairs = zip(one.model.state_dict().values(), other.model.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_the_seed_alone_decides_the_initial_weights(make_run: MakeRun) -> None:
    first = make_run("seed=3")
    torch.manual_seed(1234)
    assert same(first, make_run("seed=3", "data.batch_size=8", "trainer.epochs=9", "data.train_size=64"))
    assert not same(first, make_run("seed=4"))


def test_a_network_begins_from_training_images_once(make_run: MakeRun, tmp_path: Path) -> None:
    """The same in whatever order and batches they are trained on; a resume has what the checkpoint has."""
    words = ("model=airbench", "data.image_size=12")
    run = make_run(*words)
    loader, part = run.loaders.train, run.data.train
    images = loader.preprocess(torch.stack([part.images[row] for row in range(len(part))]), run.device, torch.float32)
    maps = run.model.whiten.conv(images).double()[:, :12].transpose(0, 1).flatten(1)
    assert ((maps @ maps.T / maps.shape[1]).diagonal() - 1).abs().max() < 0.05
    assert same(run, make_run(*words, "trainer.epochs=9")) and not same(run, make_run(*words, "seed=1"))
    few = make_run(*words, "data.batch_size=8").model.whiten.conv.weight
    torch.testing.assert_close(few.abs(), run.model.whiten.conv.weight.abs())
    saved = run.state.state_dict()
    with torch.no_grad():
        run.model.whiten.conv.weight.fill_(2.0)
    assert (build(run.config, saved).state.model.whiten.conv.weight == 2.0).all()
    path = tmp_path / "weights.pth"
    torch.save(run.model.state_dict(), path)
    loaded = make_run(*words, f"model.weights={path}", "seed=1")
    assert (loaded.model.whiten.conv.weight == 2.0).all()


def test_the_model_fits_the_data(make_run: MakeRun) -> None:
    run = make_run("data.channels=1", "data.num_classes=4", "model=resnet20", "data.image_size=24")
    assert run.model(torch.zeros(2, 1, 24, 24)).shape == (2, 4)
    assert run.loaders.preprocess.channels == 1
    assert run.loaders.preprocess.image_size == 24
    assert run.macs > 0


def test_normalisation_is_by_the_training_part(make_run: MakeRun) -> None:
    run = make_run()
    mean, std = mean_and_deviation(run.data.train, run.loaders.preprocess.fit)
    assert (run.loaders.preprocess.mean, run.loaders.preprocess.std) == (mean, std)
    batches = [batch.inputs for batch in run.eval_batches("val")]
    assert torch.cat(batches).mean().abs() < 0.1


def test_what_images_are_normalised_by_is_kept_for_other_runs_of_the_same_images(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = f'data.cache_dir="{tmp_path}"'
    first = make_run(cache).loaders.preprocess
    read: list[int] = []

    def again(*what: Any) -> tuple[list[float], list[float]]:
        read.append(1)
        return mean_and_deviation(*what)

    monkeypatch.setattr(building, "mean_and_deviation", again)
    assert make_run(cache).loaders.preprocess == first and not read
    assert make_run(cache, "data.split_seed=1").loaders.preprocess != first  # other made-up images
    assert make_run(cache, "data.image_size=28").loaders.preprocess.mean != first.mean
    assert make_run(cache, "data.resident=ram").loaders.preprocess == first
    assert len(read) == 3


def test_normalisation_may_be_the_models(make_run: MakeRun) -> None:
    run = make_run("model=resnet18", "augment.normalize=model")
    assert run.loaders.preprocess.mean == [0.485, 0.456, 0.406]


def test_float64_is_float64_throughout(make_run: MakeRun) -> None:
    run = make_run("trainer.precision=float64")
    assert {p.dtype for p in run.model.parameters()} == {torch.float64}
    run.begin_epoch()
    batch = next(iter(run.train_batches()))
    assert (batch.inputs.dtype, batch.targets.dtype) == (torch.float64, torch.int64)


def test_a_training_part_smaller_than_the_batch_is_one_step_an_epoch(make_run: MakeRun) -> None:
    run = make_run("data.train_size=10", "data.batch_size=64", "trainer.grad_accum=4")
    assert run.loaders.batch_size == 8
    assert run.loaders.steps_per_epoch == 1
    with pytest.raises(InputError, match="the training part has 3 samples, too few"):
        make_run("data.train_size=3", "data.batch_size=64", "trainer.grad_accum=4")


def test_a_set_without_a_test_part(make_run: MakeRun) -> None:
    assert make_run("data.test_size=0").loaders.test is None


def test_steps_end_at_whichever_limit_comes_first(make_run: MakeRun) -> None:
    assert make_run().step.left == 9
    assert make_run("trainer.max_steps=5").step.left == 5
    assert make_run("trainer.max_steps=50").step.left == 9


def test_images_that_the_model_does_not_take_are_a_wrong_configuration(make_run: MakeRun) -> None:
    with pytest.raises(ConfigError, match=r"lenet5 needs images of at least 16x16 pixels, not 8"):
        make_run("data.image_size=8")
    with pytest.raises(ConfigError, match=r"does not take 16x16 images .*data\.image_size=\d+ works"):
        make_run("model=vgg11", "data.image_size=16", "+model.args.mlp_ratio=0.03125")


def test_a_depth_beyond_the_model_is_a_wrong_configuration(make_run: MakeRun) -> None:
    with pytest.raises(ConfigError, match=r"transfer\.depth=99: this model has"):
        make_run("transfer=freeze_depth", "transfer.depth=99", "model.pretrained=false")


def settings_of_the_process() -> tuple[Any, ...]:
    backend = torch.backends.cudnn
    enabled = torch.are_deterministic_algorithms_enabled()
    return enabled, backend.deterministic, backend.benchmark, os.environ.get("CUBLAS_WORKSPACE_CONFIG")


def test_deterministic_asks_torch_for_it_and_leaves_it_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    before = settings_of_the_process()
    with arithmetic(deterministic=True, tf32=False):
        assert settings_of_the_process() == (True, True, False, ":4096:8")
        with arithmetic(deterministic=False, tf32=True):
            assert settings_of_the_process()[:3] == (False, False, True)
        assert settings_of_the_process()[:3] == (True, True, False)
    assert settings_of_the_process() == before


def test_weights_are_drawn_in_float32_whatever_the_process_computes_in() -> None:
    before = torch.get_default_dtype(), torch.get_float32_matmul_precision()
    torch.set_default_dtype(torch.float64)
    try:
        with arithmetic(deterministic=False, tf32=True):
            assert torch.get_default_dtype() == torch.float32 and torch.get_float32_matmul_precision() == "high"
        assert (torch.get_default_dtype(), torch.get_float32_matmul_precision()) == (torch.float64, before[1])
    finally:
        torch.set_default_dtype(before[0])


@pytest.mark.no_cover
def test_two_builds_of_one_configuration_are_independent(configure: Callable[..., Any]) -> None:
    config = configure("schedule=plateau", "transfer=auto", "model=resnet20", "model.pretrained=false")
    before = asdict(config)
    first, second = build(config), build(config)
    first.state.schedule.observe(9, {"val/top1": 0.5})
    with torch.no_grad():
        next(first.state.model.parameters()).add_(1)
    first.state.progress.epoch = 3
    assert asdict(config) == before
    assert second.state.schedule.state_dict() == {"best": None, "bad_epochs": 0, "reductions": 0}
    assert second.state.progress.epoch == 0
    assert not same(first.state, second.state)
    with pytest.raises(FrozenInstanceError):
        config.trainer.epochs = 3


def test_a_resumed_run_keeps_its_preprocessing(make_run: MakeRun, configure: Callable[..., Any]) -> None:
    state = make_run().state_dict()
    again = build(configure("data.split_seed=7"), state)
    assert again.loaders.preprocess.mean == state["preprocess"]["mean"]


def test_auxiliary_heads_train_and_do_not_judge(make_run: MakeRun) -> None:
    run = make_run("model=googlenet", "data.image_size=64", "model.args={aux_logits: true}", "data.batch_size=4")
    run.begin_epoch()
    batch = next(iter(run.train_batches()))
    labels, outputs = batch.targets, run.phase.network(batch.inputs)
    assert isinstance(outputs, tuple)
    loss, logits = run.objective.loss(outputs, labels)
    expected = [torch.nn.functional.cross_entropy(each, labels) for each in outputs]
    assert logits is outputs[0]
    torch.testing.assert_close(loss, expected[0] + 0.3 * sum(expected[1:]))
