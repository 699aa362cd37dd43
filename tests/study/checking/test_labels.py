"""Labels that are likely wrong, against the rule written out for one sample after the other."""

from __future__ import annotations

import numpy as np
import pytest
from looked import seen
from sklearn.datasets import load_digits

from cnntrain.study.checking import labels as judging
from cnntrain.study.checking.labels import judge, out_of_fold, plain_features, suspects


@pytest.mark.parametrize("certain", [1.0, judging.CERTAIN])
def test_suspects_are_those_that_another_class_is_so_much_likelier_for_the_surest_first(
    certain: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "CERTAIN", certain)
    random = np.random.default_rng(1)
    labels = random.integers(0, 4, 300)
    probabilities = random.dirichlet(np.full(4, 0.1), 300)
    expected = set()
    for row, label in enumerate(labels):
        best = max(set(range(4)) - {label}, key=lambda each: probabilities[row, each])
        if probabilities[row, best] >= certain * probabilities[row, label]:
            expected.add((row, best))
    found = list(suspects(probabilities, labels))
    assert set(found) == expected
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


def test_features_are_of_colours_of_directions_and_of_frequencies() -> None:
    small = np.zeros((2, 16, 16, 3), np.uint8)
    small[0] = np.arange(16)[:, None, None] * 10  # brighter downwards
    small[1] = np.arange(16)[None, :, None] * 10  # and to the right
    found = plain_features(small)
    assert found.shape == (2, 8 * 8 * 3 + 4 * 4 * 8 + 16 * 9)
    assert found[0, :3] == pytest.approx([5 / 255] * 3)
    cells = found[:, 192:320].reshape(2, 16, 8)
    assert cells.argmax(axis=2).tolist() == [[2] * 16, [0] * 16]
    turned = np.zeros((1, 16, 16, 3), np.uint8)
    turned[0] = (np.arange(16)[:, None, None] + np.arange(16)[None, :, None] / 4) * 10
    between = plain_features(turned)[0, 192:320].reshape(4, 4, 8)[:, 1:3]  # whose gradients are of both neighbours
    share = np.arctan2(1, 0.25) / (np.pi / 4) - 1  # of the bin of downwards; the rest is that of aslant
    assert between[..., 2] / between[..., 1] == pytest.approx(share / (1 - share), rel=1e-3)
    waves = np.sin(2 * np.pi * 3 * np.arange(16) / 16)
    small[0], small[1] = 100 + 90 * waves[:, None, None], 100 + 90 * waves[None, :, None]
    energy = plain_features(small)[:, 320:].reshape(2, 16, 9)
    assert [np.unravel_index(each[:9].argmax(), (9, 9)) for each in energy] == [(3, 0), (0, 3)]
    moved = plain_features(np.roll(small, 2, axis=(1, 2)))[:, 320:].reshape(2, 16, 9)
    assert abs(moved[0, 3, 0] - energy[0, 3, 0]) < 0.1 < energy[0, 3, 0] - energy[1, 3, 0]


def test_without_two_classes_of_enough_images_nothing_is_judged() -> None:
    assert judge(seen(np.zeros((12, 16, 16, 3), np.uint8), [0] * 10 + [1] * 2, ["train"] * 12)) is None
