"""Confident learning, against its formulas written out for one sample after the other."""

from __future__ import annotations

import numpy as np
import pytest
from looked import seen
from sklearn.datasets import load_digits

from cnntrain.study.checking import labels as judging
from cnntrain.study.checking.labels import judge, out_of_fold, plain_features, suspects


def by_the_paper(probabilities: np.ndarray, labels: np.ndarray, certain: float) -> set[tuple[int, int]]:
    """Equations 1 and 2 of Northcutt et al. 2021, and of the off-diagonal samples those that are `certain`."""
    count, classes = probabilities.shape
    threshold = [
        sum(probabilities[i, j] for i in range(count) if labels[i] == j) / sum(labels[i] == j for i in range(count))
        for j in range(classes)
    ]
    found = set()
    for i in range(count):
        confident = [j for j in range(classes) if probabilities[i, j] >= threshold[j]]
        if confident:
            best = max(confident, key=lambda j: probabilities[i, j])
            if best != labels[i] and probabilities[i, best] >= certain * probabilities[i, labels[i]]:
                found.add((i, best))
    return found


@pytest.mark.parametrize("certain", [1.0, judging.CERTAIN])
def test_suspects_are_those_of_the_paper_the_surest_first(certain: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "CERTAIN", certain)
    random = np.random.default_rng(1)
    labels = random.integers(0, 4, 300)
    probabilities = random.dirichlet(np.full(4, 0.3), 300)
    found = list(suspects(probabilities, labels))
    assert set(found) == by_the_paper(probabilities, labels, certain)
    assert len(found) > 50
    margins = [probabilities[row, labels[row]] - probabilities[row, guess] for row, guess in found]
    assert margins == sorted(margins)


def test_flipped_labels_of_digits_are_found_with_few_others() -> None:
    digits = load_digits()
    labels, random = digits.target.astype(np.int64), np.random.default_rng(2)
    flipped = random.choice(len(labels), 30, replace=False)
    wrong = labels.copy()
    wrong[flipped] = (labels[flipped] + random.integers(1, 10, 30)) % 10
    small = np.kron(digits.images, np.ones((2, 2)))[..., None].repeat(3, axis=3) * 15
    found = out_of_fold(plain_features(small.astype(np.uint8)), wrong)
    assert np.allclose(found.sum(axis=1), 1)
    assert (found.argmax(axis=1) == labels).mean() > 0.95
    rows = {row for row, _ in suspects(found, wrong)}
    assert len(rows & set(flipped.tolist())) >= 25
    assert len(rows - set(flipped.tolist())) <= 5


def test_what_a_row_is_called_does_not_teach_its_own_judge() -> None:
    """A feature that is the label itself, in one row alone, helps nobody."""
    random = np.random.default_rng(3)
    labels = np.arange(200) % 2
    features = random.normal(size=(200, 201)).astype(np.float32)
    features[:, 1:] = np.eye(200)  # by which each row could be learned by heart
    found = out_of_fold(features, labels)
    assert abs((found.argmax(axis=1) == labels).mean() - 0.5) < 0.15


def test_features_are_of_colours_and_of_directions() -> None:
    small = np.zeros((2, 16, 16, 3), np.uint8)
    small[0] = np.arange(16)[:, None, None] * 10  # brighter downwards
    small[1] = np.arange(16)[None, :, None] * 10  # and to the right
    found = plain_features(small)
    assert found.shape == (2, 8 * 8 * 3 + 4 * 4 * 8)
    assert found[0, :3] == pytest.approx([5 / 255] * 3)
    cells = found[:, 192:].reshape(2, 16, 8)
    assert cells.argmax(axis=2).tolist() == [[2] * 16, [0] * 16]


def test_without_two_classes_of_enough_images_nothing_is_judged() -> None:
    assert judge(seen(np.zeros((12, 16, 16, 3), np.uint8), [0] * 10 + [1] * 2, ["train"] * 12)) is None
