"""The answers that a run leaves are those that its metrics were computed from, on one process and on two."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cnntrain.build import trained
from cnntrain.runs import predictions
from cnntrain.tasks.classify.calibration import temperature
from cnntrain.tasks.classify.objective import Classification
from cnntrain.training.answers import Answers

WORDS = (
    "data=fake", "model=lenet5", "data.num_classes=7", "data.train_size=48", "data.val_size=13", "data.test_size=29",
    "data.batch_size=16", "trainer.device=cpu", "trainer.epochs=2", "optim.lr=0.02", "task.metrics=[macro_f1,roc_auc]",
)  # fmt: skip


def parts(place: Path) -> dict[str, predictions.Predictions]:
    return {name: predictions.read(place / name / predictions.PREDICTIONS) for name in ("val", "test")}


def test_a_run_leaves_the_answers_of_its_best_epoch(configure: Any, result_of: Any) -> None:
    place = Path(configure(*WORDS).execute([]).made)
    result, found = result_of(place), parts(place)
    best = trained.read(trained.best_of(place), torch.device("cpu"))
    val = {name.partition("/")[2]: value for name, value in result["best"].items()}
    for name, metrics in (("val", val), ("test", result["test"])):
        part = found[name]
        assert part.losses.mean() == pytest.approx(metrics["loss"], rel=1e-5)
        assert (part.logits.argmax(1) == part.labels).mean() == pytest.approx(metrics["top1"])
    data = best.config.data.load()
    assert found["test"].ids == list(data.test.ids) and found["test"].labels.tolist() == data.test.labels.tolist()
    (third,) = best.predict([data.test.images[2]])
    row = (torch.tensor(found["test"].logits[2]).double() / (result["temperature"] or 1)).softmax(0)
    assert {name: pytest.approx(value, abs=1e-5) for name, value in third.items()} == dict(
        zip(best.classes, row.tolist(), strict=True)
    )
    assert result["temperature"] == temperature(found["val"].logits, found["val"].labels)
    about = found["test"].about
    assert (about["part"], about["model"], about["epoch"]) == ("test", "lenet5", result["best"]["epoch"])
    assert about["fingerprint"] == result["data"]["fingerprint"]


def test_two_processes_leave_the_answers_of_one(configure: Any, ranks: Callable[..., Any], tmp_path: Path) -> None:
    exact = (*WORDS, "trainer.precision=float64")
    one = parts(Path(configure(*exact, "output=" + str(tmp_path / "one")).execute([]).made))
    out = ranks(*exact, f"output={tmp_path / 'two'}")
    two = parts(Path(out.stdout.splitlines()[-1]))
    for name, alone in one.items():
        shared = two[name]
        assert shared.ids == alone.ids and shared.labels.tolist() == alone.labels.tolist()
        assert np.abs(shared.logits - alone.logits).max() < 1e-9
        assert np.abs(shared.losses - alone.losses).max() < 1e-9


def test_of_settings_side_by_side_those_of_the_chosen_one_are_kept(configure: Any) -> None:
    logits = torch.arange(24.0).view(3, 2, 4).half()
    seen = Answers(Classification(), setting=1)
    seen(logits, torch.tensor([3, 0]))
    part = type("Part", (), {"ids": ["a", "b"], "labels": np.array([3, 0]), "__len__": lambda self: 2})()
    found = seen.of(part, list("abcd"), {})
    assert found is not None and found.logits.tolist() == logits[1].tolist()
    wanted = torch.nn.functional.cross_entropy(logits[1].float(), torch.tensor([3, 0]), reduction="none")
    assert found.losses.tolist() == wanted.tolist()
