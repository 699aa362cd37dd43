"""A checkpoint's configuration from before a key was there."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import pytest
from composing import composed

from cnntrain.config import since
from cnntrain.config.check import check
from cnntrain.config.schema import TrainConfig
from cnntrain.core.errors import ConfigError


@pytest.fixture
def saved() -> dict:
    """Of choices whose defaults are not those of the main command."""
    return composed(["model=resnet20", "data=fake", "optim=adamw", "schedule=cosine", "+model.args.width=8"], "train")


@pytest.mark.no_cover
def test_keys_that_came_since_have_the_defaults_of_the_choices_that_were_made(saved: dict) -> None:
    older = deepcopy(saved)
    del older["data"]["balance"], older["trainer"]["class_weight"], older["optim"]["weight_decay"], older["transfer"]
    config, notes = since.checked(older)
    assert config == check(saved, TrainConfig)
    (note,) = notes
    assert note.startswith("keys that are newer than the checkpoint have their defaults: data.balance=false, optim.")
    assert "trainer.class_weight=null" in note and "model.args" not in note


def test_a_default_that_other_keys_decide_is_as_a_run_keeps_it() -> None:
    older = composed(["task=segment", "model=fcn", "model.backbone=resnet20", "data=digit_scenes"], "train")
    del older["data"]["gives"], older["checkpoint"]["metric"]
    tree, _ = since.completed(older)
    assert tree["data"]["gives"] == "mask" and tree["checkpoint"]["metric"] == "val/miou"


def test_what_lacks_nothing_is_as_it_was_saved(saved: dict) -> None:
    assert since.checked(saved) == (check(saved, TrainConfig), [])


@pytest.mark.no_cover
@pytest.mark.parametrize("lacks", [True, False])
def test_another_fault_is_told_as_it_is(saved: dict, lacks: bool) -> None:
    wrong = deepcopy(saved)
    wrong["optim"]["lr"] = -1
    if lacks:
        del wrong["data"]["balance"]
    with pytest.raises(ConfigError, match=r"^optim\.lr"):
        since.checked(wrong)


@pytest.mark.no_cover
def test_it_works_with_nothing_composed_before(saved: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `cnntrain.load` does it, from a folder without configurations."""
    monkeypatch.chdir(tmp_path)
    del saved["task"]["loss"]
    config, _ = since.checked(saved)
    assert config.task.loss == "cross_entropy"  # type: ignore[attr-defined]
