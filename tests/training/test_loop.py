from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, log_loss, top_k_accuracy_score
from torch import nn

from cnntrain.core.digest import digest
from cnntrain.training import loop
from cnntrain.training.run import Run

MakeRun = Callable[..., Run]


@torch.no_grad()
def judged(run: Run, part: str) -> dict[str, float]:
    """The part's metrics by scikit-learn, one image at a time."""
    images, labels = getattr(run.data, part).images, getattr(run.data, part).labels
    preprocess = run.loaders.preprocess
    run.eval_model.eval()
    scores = torch.cat(
        [
            run.eval_model(preprocess(preprocess.fit(images[i], 0)[0][None], run.device, torch.float32))
            for i in range(len(labels))
        ]
    )
    probabilities = scores.double().softmax(dim=1).numpy()
    every = np.arange(scores.shape[1])
    return {
        "loss": log_loss(labels, probabilities, labels=every),
        "top1": accuracy_score(labels, probabilities.argmax(axis=1)),
        "top5": top_k_accuracy_score(labels, probabilities, k=5, labels=every),
        "count": len(labels),
    }


@pytest.mark.parametrize("extra", [(), ("trainer.ema_decay=0.7",), ("model=resnet20",)])
def test_what_a_run_reports_is_what_scikit_learn_finds(
    extra: tuple[str, ...], make_run: MakeRun, tmp_path: Path
) -> None:
    run = make_run("data.val_size=37", "trainer.epochs=2", *extra, folder=tmp_path / "run")
    assert run.fit() == loop.FINISHED
    found = run.judged("val")
    assert found == pytest.approx(judged(run, "val"), rel=1e-4)
    for key, value in found.items():
        if key != "count" and run.progress.best["epoch"] == 2:
            assert run.progress.best[f"val/{key}"] == value


def test_training_metrics_are_of_every_step_as_it_was_made(make_run: MakeRun) -> None:
    run = make_run()
    losses: list[float] = []
    objective = run.objective

    class Noting:
        def __getattr__(self, name: str) -> Any:
            return getattr(objective, name)

        def loss(self, outputs: Any, targets: Any) -> Any:
            loss, judged = objective.loss(outputs, targets)
            losses.append(loss.item())
            return loss, judged

    run.run.objective = Noting()
    found = run.train_epoch()
    assert len(losses) == 3
    assert found["loss"] == pytest.approx(sum(losses) / 3, rel=1e-6)
    assert found["count"] == 48


def test_training_learns(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run("trainer.epochs=12", folder=tmp_path / "run")
    first = run.judged("val", run.model)["loss"]
    run.fit()
    assert run.judged("val", run.model)["loss"] < first / 2


def test_an_evaluation_changes_nothing(make_run: MakeRun) -> None:
    run = make_run("model=resnet20", "data.image_size=16")
    run.begin_epoch()
    before = digest(run.model.state_dict())
    run.judged("val", run.model)
    assert digest(run.model.state_dict()) == before
    assert all(p.grad is None for p in run.model.parameters())


def test_an_evaluation_does_not_depend_on_the_batch(make_run: MakeRun) -> None:
    counts = set()
    for size in (1, 7, 16):
        run = make_run(f"data.batch_size={size}", "data.val_size=23", "model.drop_rate=0.5")
        found = run.judged("val", run.model)
        counts.add((round(found["top1"] * 23), round(found["top5"] * 23), found["count"]))
    assert len(counts) == 1


def test_the_network_is_in_the_right_mode_throughout(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run("model=resnet20", "data.image_size=16", "transfer=freeze_depth", "transfer.depth=2",
                   "model.pretrained=false", "trainer.epochs=2", folder=tmp_path / "run")  # fmt: skip
    modes: list[tuple[bool, bool, bool]] = []
    norms = {name: m for name, m in run.model.named_modules() if isinstance(m, nn.BatchNorm2d)}
    first, last = next(iter(norms.values())), list(norms.values())[-1]
    assert run.begin_epoch()  # which tries the network out
    last.register_forward_pre_hook(lambda *_: modes.append((run.model.training, first.training, last.training)))
    run.fit()
    assert modes == ([(True, False, True)] * 3 + [(False, False, False)]) * 2


def test_label_smoothing_is_for_training_only(make_run: MakeRun) -> None:
    plain, smooth = make_run(), make_run("trainer.label_smoothing=0.4")
    batch = next(iter(plain.eval_batches("val")))
    logits = plain.model(batch.inputs)
    expected = nn.functional.cross_entropy(logits, batch.targets, label_smoothing=0.4)
    assert torch.equal(smooth.objective.loss(logits, batch.targets)[0], expected)
    assert plain.judged("val") == smooth.judged("val")


def test_a_run_without_any_progress_is_not_done(make_run: Any) -> None:
    run = make_run("trainer.epochs=1")
    assert not run.ended
    run.progress.step, run.progress.step_in_epoch = 3, 3
    assert not run.ended  # its validation is due
    run.progress.step_in_epoch, run.progress.epoch = 0, 1
    assert run.ended
