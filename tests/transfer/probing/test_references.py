"""The references on made-up features; those of a network are in test_probe_depths.py."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from cnntrain.data.batches.feed import Batch
from cnntrain.transfer.probing import references


def features(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Of three classes, one apart and two that are hard to tell from each other."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    return random.normal(size=(count, 4)) * [1, 5, 1, 1] + np.eye(3, 4)[labels] * [4, 3, 1, 0], labels


PARTS = {"train": features(30, 0), "val": features(21, 1), "test": features(24, 2)}


@pytest.mark.parametrize("neighbors", [1, 3, 100])
def test_the_nearest_are_by_the_angle_and_no_more_than_there_are(neighbors: int) -> None:
    expected = KNeighborsClassifier(min(neighbors, 30), metric="cosine", algorithm="brute").fit(*PARTS["train"])
    assert references._nearest(PARTS, neighbors) == {
        f"{part}_top1": expected.score(*PARTS[part]) for part in ("val", "test")
    }


def test_the_logistic_regression_is_as_strongly_regularised_as_suits_val(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(references, "STRENGTHS", (1e-4, 1e-2, 1.0, 10.0))
    scaler = StandardScaler().fit(PARTS["train"][0])
    scaled = {part: (scaler.transform(values), labels) for part, (values, labels) in PARTS.items()}
    scores = {
        strength: LogisticRegression(C=strength, max_iter=500).fit(*scaled["train"])
        for strength in references.STRENGTHS
    }
    vals = [each.score(*scaled["val"]) for each in scores.values()]
    best = references.STRENGTHS[vals.index(max(vals))]
    assert len(set(vals)) > 1
    assert references._logistic(PARTS) == {
        "C": best, "converged": True, "val_top1": max(vals), "test_top1": scores[best].score(*scaled["test"]),
    }  # fmt: skip
    monkeypatch.setattr(references, "ITERATIONS", 1)
    assert references._logistic(PARTS)["converged"] is False


def test_of_equally_good_ones_the_most_strongly_regularised_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(references, "STRENGTHS", (1.0, 1.1))
    apart = {part: (10.0 * np.eye(3)[labels], labels) for part, (_, labels) in PARTS.items()}
    found = references._logistic(apart)
    assert (found["C"], found["val_top1"], found["test_top1"]) == (1.0, 1.0, 1.0)


class Backbone(nn.Module):
    """Two depths: the values themselves, and their squares."""

    sizes = (4, 4)

    def forward(self, values: Tensor) -> list[Tensor]:
        return [values, values.square()]


def test_each_depth_is_judged_by_those_that_are_wanted() -> None:
    asked: list[int] = []

    def batches(part: str) -> Iterator[Batch]:
        values, labels = (torch.from_numpy(each) for each in PARTS[part])
        for rows in torch.arange(len(labels)).split(8):
            yield Batch(values[rows], labels[rows], len(rows))

    run: Any = type("Finished", (), {})()
    run.model, run.parts, run.batches = nn.Module(), ["val", "test"], batches
    run.model.backbone = Backbone()
    run.heed = lambda: asked.append(1)
    first, second = references.judge(run, ["knn", "logistic"], 3)
    single = {part: (values.astype(np.float32), labels) for part, (values, labels) in PARTS.items()}
    squares = {part: (np.square(values), labels) for part, (values, labels) in single.items()}
    assert first == {"knn": references._nearest(single, 3), "logistic": references._logistic(single)}
    assert second["knn"] == references._nearest(squares, 3) and list(second) == ["knn", "logistic"]
    assert len(asked) == (4 + 3 + 3) + 2 * 2 and not run.model.training
    assert [list(row) for row in references.judge(run, ["knn"], 3)] == [["knn"]] * 2
