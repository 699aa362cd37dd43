"""Each score against scikit-learn or torchmetrics, on balanced, unbalanced and missing classes."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from torchmetrics.functional import classification as tm

from cnntrain.core import dist
from cnntrain.tasks.classify import Classify
from cnntrain.tasks.classify.calibration import probabilities
from cnntrain.tasks.classify.judged import Judged
from cnntrain.tasks.classify.scores import averages, per_class, scores

NAMES = list(Classify("classify", [], "cross_entropy", None).offered)
CLASSES = 6


def drawn(kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Logits and labels of 400 samples: of which classes are equally many, or not, or one without any."""
    draws = np.random.default_rng(len(kind))
    share = {"balanced": [1] * 6, "unbalanced": [50, 20, 10, 5, 3, 2], "missing": [5, 0, 5, 5, 5, 5]}[kind]
    labels = draws.choice(CLASSES, size=400, p=np.array(share) / sum(share))
    logits = draws.normal(size=(400, CLASSES)) + 1.5 * np.eye(CLASSES)[labels]
    return logits, labels


@pytest.mark.parametrize("kind", ["balanced", "unbalanced"])
def test_scores_are_those_of_torchmetrics(kind: str) -> None:
    logits, labels = drawn(kind)
    found = probabilities(logits)
    ours = scores(NAMES, labels, found)
    given = torch.from_numpy(found), torch.from_numpy(labels)
    theirs = {
        "balanced_accuracy": tm.multiclass_recall(*given, CLASSES, average="macro"),
        "macro_precision": tm.multiclass_precision(*given, CLASSES, average="macro"),
        "macro_recall": tm.multiclass_recall(*given, CLASSES, average="macro"),
        "macro_f1": tm.multiclass_f1_score(*given, CLASSES, average="macro"),
        "weighted_f1": tm.multiclass_f1_score(*given, CLASSES, average="weighted"),
        "mcc": tm.multiclass_matthews_corrcoef(*given, CLASSES),
        "kappa": tm.multiclass_cohen_kappa(*given, CLASSES),
        "roc_auc": tm.multiclass_auroc(*given, CLASSES, average="macro"),
        "pr_auc": tm.multiclass_average_precision(*given, CLASSES, average="macro"),
        "ece": tm.multiclass_calibration_error(*given, CLASSES, norm="l1"),
    }
    for name, value in theirs.items():
        assert ours[name] == pytest.approx(float(value), abs=1e-6), name  # float32 is in some of theirs


@pytest.mark.parametrize("kind", ["balanced", "unbalanced", "missing"])
def test_scores_are_those_of_scikit_learn(kind: str) -> None:
    logits, labels = drawn(kind)
    found = probabilities(logits)
    guesses = found.argmax(1)
    ours = scores(NAMES, labels, found)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a class that is guessed and never there
        theirs = sk.balanced_accuracy_score(labels, guesses)
    assert ours["balanced_accuracy"] == pytest.approx(theirs, abs=1e-12)
    present = np.unique(labels)
    if kind != "missing":
        assert ours["roc_auc"] == pytest.approx(sk.roc_auc_score(labels, found, multi_class="ovr"), abs=1e-12)
        assert ours["pr_auc"] == pytest.approx(sk.average_precision_score(np.eye(6)[labels], found), abs=1e-12)
    areas = [sk.roc_auc_score(labels == each, found[:, each]) for each in present]
    assert ours["roc_auc"] == pytest.approx(np.mean(areas), abs=1e-12)


def test_each_class_and_each_average_are_those_of_a_confusion_matrix() -> None:
    logits, labels = drawn("missing")
    guesses = logits.argmax(1)
    table = np.zeros((CLASSES, CLASSES))
    np.add.at(table, (labels, guesses), 1)
    names = [f"class {each}" for each in range(CLASSES)]
    rows = per_class(labels, guesses, names)
    assert [row["name"] for row in rows] == names
    assert [row["support"] for row in rows] == table.sum(1).tolist()
    for number, row in enumerate(rows):
        assert row["precision"] == pytest.approx(table[number, number] / table[:, number].sum())
        assert row["recall"] == pytest.approx(table[number, number] / max(table[number].sum(), 1))
    found = averages(labels, guesses)
    assert found["micro"]["f1"] == pytest.approx((guesses == labels).mean())
    assert found["weighted"]["recall"] == pytest.approx((guesses == labels).mean())


def test_what_is_not_defined_is_nan() -> None:
    one = np.zeros(4, dtype=np.int64)
    found = scores(NAMES, one, np.tile([0.9, 0.1], (4, 1)))
    assert np.isnan([found["roc_auc"], found["kappa"], found["mcc"]]).all()
    assert found["macro_f1"] == 1
    assert all(np.isnan(each) for each in scores(NAMES, one[:0], np.zeros((0, 2))).values())
    assert np.isnan(scores(["roc_auc"], np.array([0, 1]), np.full((2, 2), np.nan))["roc_auc"])


def test_an_evaluation_in_batches_is_that_of_all_samples() -> None:
    logits, labels = (torch.from_numpy(each) for each in drawn("unbalanced"))
    totals = Judged(torch.device("cpu"), NAMES)
    for part in torch.arange(len(labels)).split(64):
        totals.add(torch.tensor(0.5), logits[part], labels[part])
    found = totals.metrics()
    wanted = scores(NAMES, labels.numpy(), probabilities(logits.numpy()))
    assert {name: found[name] for name in NAMES} == wanted
    assert (found["loss"], found["count"]) == (0.5, 400)


def test_of_settings_side_by_side_each_has_its_scores() -> None:
    logits, labels = (torch.from_numpy(each) for each in drawn("balanced"))
    totals = Judged(torch.device("cpu"), ["macro_f1"])
    totals.add(torch.tensor([0.5, 0.7]), torch.stack([-logits, logits]), labels)
    found = totals.metrics()
    alone = [scores(["macro_f1"], labels.numpy(), probabilities(each.numpy())) for each in (-logits, logits)]
    assert [each["macro_f1"] for each in found.per_setting] == [each["macro_f1"] for each in alone]
    assert found["setting"] == 1


def test_a_rank_without_samples_adds_none(monkeypatch: pytest.MonkeyPatch) -> None:
    logits, labels = (torch.from_numpy(each) for each in drawn("balanced"))
    monkeypatch.setattr(dist, "gathered", lambda own: [own, torch.empty(0)])
    totals = Judged(torch.device("cpu"), ["macro_f1"])
    totals.add(torch.tensor(0.5), logits, labels)
    wanted = scores(["macro_f1"], labels.numpy(), probabilities(logits.numpy()))
    assert totals.metrics()["macro_f1"] == wanted["macro_f1"]
