"""Runs with data.balance=true: continued, shared by processes, with kept images and activations."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cnntrain.core import signals
from cnntrain.runs import checkpoint


def weights(place: Path) -> dict[str, torch.Tensor]:
    return checkpoint.load(place / checkpoint.LAST)["model"]


def test_a_killed_and_resumed_run_is_the_uninterrupted_one(
    configure: Callable[..., Any], result_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ended(at: int, *words: str) -> Any:
        asked = iter(range(1, 10**6))
        monkeypatch.setattr(signals, "received", lambda: "SIGTERM" if at and next(asked) >= at else None)
        return configure(*words).execute([])

    words = ("data.train_size=48", "data.balance=true", "data.num_classes=5", "augment=flip_crop", "trainer.epochs=2")
    straight = Path(ended(0, *words, "name=straight").made)
    assert result_of(straight)["data"]["balance"] is True
    stopped = ended(6, *words, "name=stopped")  # in the second epoch
    assert stopped.code == signals.STOPPED
    assert result_of(Path(stopped.made))["steps"] % 3 > 0
    assert ended(0, *words, "name=stopped", f"resume={stopped.made}").code == 0
    resumed = weights(Path(stopped.made))
    assert all(torch.equal(value, resumed[key]) for key, value in weights(straight).items())
    otherwise = weights(Path(ended(0, *words, "data.balance=false", "name=other").made))
    assert not all(torch.equal(value, otherwise[key]) for key, value in weights(straight).items())


def test_the_order_is_of_the_classes_and_a_run_says_so(make_run: Callable[..., Any]) -> None:
    loaders = make_run(
        "data.train_size=50", "data.num_classes=7", "data.balance=true", "data.train_per_class=20"
    ).run.loaders
    labels = loaders.train.samples.part.labels
    order = loaders.train_plan(3).order.numpy()
    assert np.bincount(labels[order]).tolist().count(7) >= 6 and len(order) == 50
    (note,) = [each for each in loaders.notes(16) if "balance" in each]
    assert note == "note: data.balance: an epoch shows 7 images of each class, which has 7 to 8"
    ids = loaders.step_ids(3, 1)
    assert ids == [loaders.train.samples.part.ids[i] for i in [*loaders.train_plan(3)][1].tolist()]


@pytest.mark.parametrize("how", ["data.resident=ram", "transfer=linear_probe"])
def test_kept_images_and_activations_change_nothing(how: str, configure: Callable[..., Any], result_of: Any) -> None:
    words = ("data.balance=true", "model.pretrained=false", "augment=none", "trainer.precision=float64")
    off = "data.resident=off" if how.startswith("data") else "transfer.cache=off"
    kept = "data.resident=ram" if how.startswith("data") else "transfer.cache=ram"
    transfer = [] if how.startswith("data") else [how]
    one, other = (weights(Path(configure(*words, *transfer, each).execute([]).made)) for each in (off, kept))
    assert max((value - other[key]).abs().max().item() for key, value in one.items()) < 1e-9


def test_two_processes_train_as_one_does(configure: Any, ranks: Callable[..., Any], tmp_path: Path) -> None:
    words = ("data=fake", "data.train_size=48", "data.num_classes=5", "data.balance=true", "trainer.precision=float64",
             "data.val_size=16", "data.test_size=16", "data.batch_size=16", "model=lenet5", "trainer.device=cpu",
             "trainer.epochs=2", "optim.lr=0.02", "augment=none")  # fmt: skip
    one = weights(Path(configure(*words, f"output={tmp_path / 'one'}").execute([]).made))
    two = weights(Path(ranks(*words, f"output={tmp_path / 'two'}").stdout.splitlines()[-1]))
    assert max((value - two[key]).abs().max().item() for key, value in one.items()) < 1e-9
