"""What is shown before a training is what the training computes with, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from composing import composed

from cnntrain.build import views
from cnntrain.commands.look import Look
from cnntrain.config.check import check
from cnntrain.core.errors import ConfigError, InputError
from cnntrain.study import augmented

WORDS = (
    "data=fake", "data.train_size=24", "data.val_size=8", "data.test_size=8", "data.batch_size=8", "data.num_classes=7",
    "data.image_size=20", "data.num_workers=0", "model=lenet5", "trainer.device=cpu", "seed=3",
)  # fmt: skip
POLICIES = {
    "batched": ("augment=flip_crop", "augment.auto=trivial", "augment.erasing=0.5"),
    "a sample at a time": ("augment=imagenet",),
    "mixed with others": ("augment=flip_crop", "augment.mixup=0.4", "augment.cutmix=1"),
    "packed": ("augment=imagenet", "data.pack_size=24"),
    "none": ("augment=none",),
}


def command(*words: str) -> Look:
    return check(composed([*WORDS, *words], "look"), Look)


@pytest.mark.parametrize("policy", POLICIES)
def test_views_are_what_a_training_sees(policy: str, make_run: Callable[..., Any]) -> None:
    words = POLICIES[policy]
    shown = views.look(command(*words), 5, range(2), lambda line: None)
    trial = make_run(*WORDS, *words)
    run, seen = trial.run, trial.run.loaders.preprocess
    ids = list(run.data.train.ids)
    rows = [ids.index(each.name) for each in shown]
    assert rows == [0, 6, 12, 17, 23]
    for epoch in range(2):
        run.state.progress.epoch = epoch
        trial.begin_epoch()
        plan = run.loaders.train_plan(epoch)
        batches = [*run.phase.train.batches(plan)]
        order = plan.order.tolist()
        inputs = torch.cat([batch.inputs for batch in batches])
        for row, each in zip(rows, shown, strict=True):
            expected = seen.undo(inputs[order.index(row)][None])[0]
            assert torch.equal(each.views[epoch].pixels, expected)
    first, second = shown[0].views
    assert torch.equal(first.pixels, second.pixels) == (policy == "none")
    assert bool(first.target) == (policy == "mixed with others")
    assert torch.equal(shown[0].original, run.data.train.images[0])
    if policy == "none":
        assert torch.equal(shown[0].judged, first.pixels)


def test_the_picture_has_a_row_an_image(perform: Callable[..., str], tmp_path: Path) -> None:
    made = perform(command("augment=flip_crop", "images=2", "views=3", "epoch=5", f"picture={tmp_path}/a.png"))
    assert made.splitlines()[-1] == f"{tmp_path}/a.png" and (tmp_path / "a.png").stat().st_size > 1000
    found = views.look(command("augment=flip_crop"), 2, range(4, 7), lambda line: None)
    (axes,) = augmented.figure(found, "title").axes
    words = [each.get_text() for each in axes.texts]
    assert len(words) == 2 * (2 + 3) and [each.strip() for each in words[2:5]] == ["epoch 5", "epoch 6", "epoch 7"]


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("resume=latest",), "trains nothing"),
        (("devices=2", "data.batch_size=8"), "leave it out"),
        (("picture=a.gif",), "must end in .png"),
    ],
)
def test_what_has_no_meaning_is_refused(words: tuple[str, ...], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        command(*words)


def test_the_folder_of_runs_is_not_where_the_picture_goes() -> None:
    with pytest.raises(ConfigError, match="give picture=<file>"):
        command("output=here").execute(["output=here"])


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no folder"):
        command(f"picture={tmp_path}/no/a.png").execute([])


def test_boxes_are_drawn_where_the_augmentation_has_brought_them() -> None:
    words = ("task=detect", "data=digit_scenes", "data.train_size=4", "data.val_size=2", "data.test_size=0",
             "data.canvas=32", "model=retinanet", "model.backbone=resnet20", "model.args={channels: 16}",
             "trainer.device=cpu")  # fmt: skip
    asked = check(composed([*words, "augment=affine"], "look"), Look)
    for each in views.look(asked, 2, range(2), lambda line: None):
        for view in each.views:
            yellow = (view.pixels[0] == 1) & (view.pixels[1] == 1) & (view.pixels[2] == 0)
            assert yellow.any()
