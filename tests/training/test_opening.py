"""What is said before the first step, and of what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from cnntrain.core import dist
from cnntrain.runs.report import Report
from cnntrain.training import opening
from cnntrain.training.opening import IMAGES_SHOWN

MakeRun = Callable[..., Any]


class Kept(Report):
    """Keeps what it is told."""

    def __init__(self) -> None:
        super().__init__([])
        self.said: list[Any] = []
        self.shown: list[torch.Tensor] = []

    def say(self, what: Any) -> None:
        self.said.append(what)

    def images(self, name: str, images: torch.Tensor) -> None:
        assert name == "inputs"
        self.shown.append(images)


def test_the_lines_say_what_runs_on_what(make_run: MakeRun) -> None:
    run = make_run("optim.lr=0.02").run
    run.notes = ["of the weights"]
    run.data.notes = ["of the data"]
    lines = opening.opening(run)[:-1]
    count = sum(parameter.numel() for parameter in run.state.model.parameters())
    assert lines == [
        f"lenet5: {count:,} parameters, {run.macs / 1e6:,.1f} M multiply-adds at 3x32x32, random weights",
        "note: of the weights",
        f"fake: train 48, val 16, test 16 images of 7 classes; fingerprint {run.data.fingerprint[:12]}",
        "note: of the data",
        f"sgd, {run.config.schedule.name}, {run.config.augment.in_words} augmentation, batch 16 on 1 x cpu in float32",
    ]
    for pretrained, weights, shown in ((True, None, "pretrained"), (False, "a/best.ckpt", "a/best.ckpt")):
        object.__setattr__(run.config.model, "pretrained", pretrained)
        object.__setattr__(run.config.model, "weights", weights)
        assert opening.opening(run)[0].endswith(f", {shown} weights")
    run.state.model.small_stem = True
    assert opening.opening(run)[0].endswith(" weights, stem for small images")


def test_a_slow_precision_and_auxiliary_heads_are_said(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "slow", lambda precision, device: f"{precision} is slow on {device}")
    run = make_run("model=googlenet", "data.image_size=64", "+model.args.aux_logits=true", "model.aux_weight=0.3")
    lines = [each for each in opening.opening(run.run) if isinstance(each, str)]
    assert "note: float32 is slow on cpu" in lines
    extra = sum(value.numel() for name, value in run.model.named_parameters() if "aux" in name)
    assert f"auxiliary heads, in training only: {extra:,} parameters more, loss x 0.3" in lines


@pytest.mark.parametrize(
    ("states", "words"),
    [
        ({0: "trained"}, "trained"),
        ({0: "frozen"}, "frozen"),
        ({0: "frozen", 4: "trained"}, "frozen, never trained in these 4 epochs"),
        ({0: "frozen", 3: "trained"}, "frozen, trained from epoch 4"),
        ({0: "frozen", 1: "partly frozen", 3: "trained"}, "frozen, partly frozen from epoch 2, trained from epoch 4"),
        ({0: "trained", 4: "frozen"}, "trained"),
    ],
)
def test_when_a_stage_is_trained_is_told_in_epochs_from_one(states: dict[int, str], words: str) -> None:
    assert opening._when(states, 4) == words


def cells(table: Any) -> list[list[str]]:
    return [list(row) for row in zip(*(column.cells for column in table.columns), strict=True)]


def test_the_table_has_a_row_for_each_stage_and_rates_where_they_differ(make_run: MakeRun) -> None:
    run = make_run("transfer=head_then_full", "transfer.probe_epochs=1", "model.pretrained=false")
    table = opening._stages(run.state, 3)
    assert [str(column.header) for column in table.columns] == ["stage", "parameters", ""]
    assert [column.justify for column in table.columns] == ["left", "right", "left"]
    assert table.title == "transfer=head_then_full" and table.title_justify == "left"
    assert table.caption == "every rate x 0.1 from epoch 2"
    assert cells(table)[0] == ["conv1", "456", "frozen, trained from epoch 2"]
    table = opening._stages(run.state, 1)
    assert table.caption is None and cells(table)[0][2] == "frozen, never trained in these 1 epochs"
    run = make_run("transfer=linear_probe", "transfer.head_lr_multiplier=2.5", "model.pretrained=false")
    table = opening._stages(run.state, 3)
    assert [str(column.header) for column in table.columns] == ["stage", "parameters", "", "lr x"]
    assert table.columns[3].justify == "right"
    assert [cells(table)[number][2:] for number in (0, -1)] == [["frozen", ""], ["trained", "2.5"]]
    run.policy.__class__.rate_multiplier = lambda self, epoch: 0.5
    try:
        assert opening._stages(run.state, 3).caption == "every rate x 0.5 from epoch 1"
    finally:
        del run.policy.__class__.rate_multiplier


def test_the_first_images_are_shown_as_they_were_and_a_resume_says_where_it_goes_on(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, report = make_run().run, Kept()
    opening.show(run, report)
    assert len(report.said) == len(opening.opening(run))
    (images,) = report.shown
    assert torch.equal(images, run.loaders.preprocess.undo(run.loaders.train.first(IMAGES_SHOWN)))
    assert images.min() >= 0 and images.max() <= 1
    monkeypatch.setattr(dist, "rank", lambda: 1)
    opening.show(run, report)
    assert len(report.shown) == 1
    monkeypatch.undo()
    run.state.progress.step, run.state.progress.epoch = 7, 2
    opening.show(run, report)
    assert report.said[-1] == "resumed at epoch 2, step 7" and len(report.shown) == 1
