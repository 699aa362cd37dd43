"""Runs that learn any number of labels an image, in the loop of all runs, on one process and on two."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from composing import composed
from PIL import Image
from scipy.special import expit
from sklearn.metrics import average_precision_score, f1_score, hamming_loss

from cnntrain.build import trained
from cnntrain.commands.eval import Eval
from cnntrain.commands.train import Train
from cnntrain.config.check import check
from cnntrain.core import plain_json
from cnntrain.core.errors import ConfigError, InputError
from cnntrain.runs import checkpoint, predictions

PARTS = {"train": 48, "val": 16, "test": 13}
SIDES = ("above", "below", "left")
WORDS = (
    "task=multilabel", "data=csv", "data.labels=several", "data.channels=1", "data.batch_size=16", "model=lenet5",
    "trainer.device=cpu", "trainer.precision=float64", "trainer.epochs=2", "optim.lr=0.02", "trainer.class_weight=auto",
)  # fmt: skip


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of 32 pixels a side with bright halves, and a table of which."""
    root, draws = tmp_path_factory.mktemp("squares"), np.random.default_rng(0)
    lines = ["path,label,split"]
    for part, count in PARTS.items():
        for number in range(count):
            there = draws.random(3) < [0.5, 0.3, 0.2]
            image = draws.integers(0, 60, (32, 32))
            for half, bright in zip((np.s_[:16], np.s_[16:], np.s_[:, :16]), there, strict=True):
                image[half] += 60 * bright
            Image.fromarray(image.astype(np.uint8)).save(root / f"{part}{number}.png")
            names = ";".join(np.array(SIDES)[there])
            lines.append(f"{part}{number}.png,{names},{part}")
    (root / "labels.csv").write_text("\n".join(lines))
    return root


def words_of(squares: Path, output: Path, *more: str) -> tuple[str, ...]:
    return *WORDS, f"data.root={squares}", f"output={output}", *more


def trained_run(*words: str) -> Path:
    return Path(str(check(composed(words), Train).execute([]).made))


@pytest.fixture(scope="module")
def run(squares: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained_run(*words_of(squares, tmp_path_factory.mktemp("runs")))


def require_scikit_learns(metrics: dict[str, float], found: predictions.Predictions) -> None:
    answers = found.logits > 0
    assert metrics["map"] == pytest.approx(average_precision_score(found.labels, found.logits), abs=1e-9)
    assert metrics["macro_f1"] == pytest.approx(f1_score(found.labels, answers, average="macro"), abs=1e-9)
    assert metrics["micro_f1"] == pytest.approx(f1_score(found.labels, answers, average="micro"), abs=1e-9)
    assert metrics["subset_accuracy"] == pytest.approx((found.labels == answers).all(1).mean(), abs=1e-9)
    assert metrics["hamming"] == pytest.approx(hamming_loss(found.labels, answers), abs=1e-9)
    assert metrics["loss"] == pytest.approx(found.losses.mean(), abs=1e-9)
    chances, there = expit(found.logits), found.labels
    by_hand = -np.where(there, np.log(chances), np.log(1 - chances)).mean(1)
    assert found.losses == pytest.approx(by_hand, abs=1e-9)  # without the weights of training


def test_a_run_reports_the_metrics_of_its_answers(run: Path, squares: Path, result_of: Any) -> None:
    result = result_of(run)
    val, test = (predictions.read(run / part / predictions.PREDICTIONS) for part in ("val", "test"))
    assert test.classes == list(SIDES) and test.labels.dtype == bool
    listed = dict(line.split(",")[:2] for line in (squares / "labels.csv").read_text().splitlines()[1:])
    for id_, row in zip(test.ids, test.labels, strict=True):
        assert ";".join(np.array(SIDES)[row]) == listed[id_]
    require_scikit_learns(result["test"], test)
    require_scikit_learns({name.removeprefix("val/"): value for name, value in result["best"].items()}, val)
    assert result["data"]["majority"]["test"] == pytest.approx(test.labels.mean())
    assert result["test_interval"].keys() == {"subset_accuracy"} and result["temperature"] is None
    assert "checkpoint.metric" not in result and checkpoint.load(run / checkpoint.BEST)["config"]["checkpoint"][
        "metric"
    ] == "val/map"  # fmt: skip


def test_each_label_has_a_probability_of_its_own(run: Path, squares: Path) -> None:
    found = predictions.read(run / "test" / predictions.PREDICTIONS)
    best = trained.read(trained.best_of(run), torch.device("cpu"))
    (first,) = best.predict([squares / found.ids[0]])
    assert first == {
        name: pytest.approx(expit(logit), abs=1e-6) for name, logit in zip(SIDES, found.logits[0], strict=True)
    }


def test_an_evaluation_finds_the_same_again(run: Path, result_of: Any, capsys: pytest.CaptureFixture[str]) -> None:
    place = Path(str(check(composed([f"run={run}", "device=cpu"], "eval"), Eval).execute([]).made))
    found = plain_json.read((place / "eval.json").read_bytes(), dict[str, Any])
    assert {name: found[name] for name in result_of(run)["test"]} == pytest.approx(result_of(run)["test"], abs=1e-9)
    assert "mAP" in capsys.readouterr().out
    with pytest.raises(InputError, match="any number of labels an image"):
        check(composed([f"predictions={place / predictions.PREDICTIONS}"], "eval"), Eval).execute([])
    with pytest.raises(ConfigError, match="gives each label a probability of its own"):
        check(composed([f"run={run}", "device=cpu", "tta=flip"], "eval"), Eval).execute([])
    with pytest.raises(ConfigError, match="cues asks which one an image is taken for"):
        check(composed([f"run={run}", "device=cpu", "cues=x"], "eval"), Eval).execute([])


def test_two_processes_learn_and_judge_as_one_does(
    run: Path, squares: Path, ranks: Callable[..., Any], result_of: Any, tmp_path: Path
) -> None:
    two = Path(ranks(*words_of(squares, tmp_path), "trainer.grad_accum=2").stdout.splitlines()[-1])
    weights, others = (checkpoint.load(each / checkpoint.LAST)["model"] for each in (run, two))
    assert max((weights[key] - others[key]).abs().max().item() for key in weights) <= 1e-10
    require_scikit_learns(result_of(two)["test"], predictions.read(two / "test" / predictions.PREDICTIONS))
    assert result_of(two)["test"] == pytest.approx(result_of(run)["test"], abs=1e-9)


@pytest.mark.parametrize(
    "more",
    [
        ("augment=imagenet", "data.num_workers=1", "task.loss=asymmetric", "schedule=cosine"),
        ("augment=flip_crop", "augment.mixup=0.2", "augment.cutmix=1", "task.loss=focal"),
        ("transfer=linear_probe", "model.pretrained=false", "trainer.precision=float32", "trainer.tune=auto"),
    ],
)  # fmt: skip
def test_it_goes_with_the_other_choices(more: tuple[str, ...], squares: Path, result_of: Any, tmp_path: Path) -> None:
    found = result_of(trained_run(*words_of(squares, tmp_path, "trainer.epochs=1", *more)))
    assert found["status"] == "finished" and 0 < found["test"]["map"] <= 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("task=multilabel",), "task=multilabel is for images with any number of labels each"),
        (("data=csv", "data.labels=several"), "which is for task=multilabel, and task=classify learns one"),
        ((*WORDS[:3], "transfer=auto"), "transfer=auto compares accuracies of one label an image"),
        ((*WORDS[:3], "transfer=probe_depths"), "transfer=probe_depths compares accuracies"),
        ((*WORDS[:3], "schedule.metric=train/map"), "schedule.metric=train/map must be one of val/map"),
        ((*WORDS[:3], "task.gamma=1"), "gamma=1 is of loss=focal or asymmetric"),
        ((*WORDS[:3], "task.loss=focal", "task.margin=0.1"), "margin=0.1 is of loss=asymmetric"),
        (("task.gamma=1",), "gamma=1 is of loss=focal, and the loss is cross_entropy"),
        (("trainer.class_weight={a: -1}",), "class_weight takes numbers from 0 up"),
        (("trainer.class_weight={a: x}",), "class_weight takes numbers from 0 up"),
        (("trainer.class_weight={a: 0}",), "class_weight takes numbers from 0 up"),
        (("trainer.class_weight=often",), "trainer.class_weight=often must be"),
    ],
)
def test_what_cannot_be_meant_is_refused(words: tuple[str, ...], said: str) -> None:
    with pytest.raises(ConfigError) as error:
        check(composed(words), Train)
    assert said in str(error.value)


def test_the_first_metric_of_a_task_decides_where_none_is_named() -> None:
    found = check(composed(WORDS), Train)
    assert found.checkpoint.metric == "val/map" and found.schedule.watched() == ("val/map", True)
    found = check(composed([*WORDS, "checkpoint.metric=val/hamming", "schedule=cosine"]), Train)
    assert found.checkpoint.metric == "val/hamming"
