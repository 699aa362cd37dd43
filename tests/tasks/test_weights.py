"""Class weights against scikit-learn's, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from cnntrain.core.errors import ConfigError
from cnntrain.tasks.weights import class_weights, weight_notes

LABELS = np.array([0, 0, 0, 0, 1, 1, 3])
CLASSES = ["cat", "dog", "eel", "fox"]


def test_auto_is_scikit_learns_balanced_whose_mean_over_samples_is_1() -> None:
    found = np.array(class_weights("auto", LABELS, CLASSES))
    theirs = compute_class_weight("balanced", classes=np.unique(LABELS), y=LABELS)
    assert found[[0, 1, 3]] == pytest.approx(theirs, abs=1e-12)
    assert found[2] == 1.0
    assert found[LABELS].mean() == pytest.approx(1.0, abs=1e-12)


def test_auto_of_several_labels_is_the_odds_against_each() -> None:
    labels = np.array([[1, 0, 1, 0], [0, 0, 1, 0], [0, 1, 1, 0], [0, 1, 1, 0]], dtype=bool)
    assert class_weights("auto", labels, CLASSES) == [3.0, 1.0, 1.0, 1.0]


def test_named_classes_have_the_given_weight_and_the_others_1() -> None:
    assert class_weights({"dog": 2, "fox": 0}, LABELS, CLASSES) == [1.0, 2.0, 1.0, 0.0]
    assert class_weights({3: 2}, LABELS, ["1", "2", "3", "4"]) == [1.0, 1.0, 2.0, 1.0]
    assert class_weights(None, LABELS, CLASSES) is None


def test_an_unknown_class_is_named() -> None:
    with pytest.raises(ConfigError, match=r"trainer.class_weight: the data have no class 'dgo'; did you mean 'dog'"):
        class_weights({"dgo": 2}, LABELS, CLASSES)


def test_a_run_says_which_classes_count_most() -> None:
    (line,) = weight_notes([1.0, 2.5, 0.25], ["a", "b", "c"])
    assert line == "in the training loss classes count from 0.25 (c) to 2.5 (b)"
    assert weight_notes(None, ["a"]) == []
