"""Neighbours by cosine, against scikit-learn and against a count by hand."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from cnntrain.study import retrieval

FEATURES = np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32)
LABELS = np.random.default_rng(1).integers(0, 3, 60)


def test_the_nearest_are_those_of_scikit_learn() -> None:
    features = retrieval.unit(FEATURES)
    distances, places = NearestNeighbors(n_neighbors=4, metric="cosine").fit(FEATURES).kneighbors(FEATURES)
    found, cosines = retrieval.nearest(features, features, 3, np.arange(60))
    assert found.tolist() == places[:, 1:].tolist()
    assert np.allclose(cosines, 1 - distances[:, 1:], atol=1e-5)
    found, _ = retrieval.nearest(features, features[:2], 1, np.array([-1, 1]))
    assert found.tolist() == [[0], [places[1, 1]]]


@pytest.mark.parametrize("k", [1, 4, 7])
def test_the_vote_is_of_the_most_frequent_label_then_the_nearest(k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieval, "ROWS", 7)
    distances = NearestNeighbors(n_neighbors=k + 1, metric="cosine").fit(FEATURES).kneighbors(FEATURES)[1][:, 1:]
    expected = [Counter(LABELS[row].tolist()).most_common(1)[0][0] for row in distances]  # equal ones in their order
    found = retrieval.right_by_neighbours(retrieval.unit(FEATURES), LABELS, k)
    assert found.tolist() == (np.array(expected) == LABELS).tolist()
    assert 0 < found.sum() < 60


def test_a_row_of_zeros_has_no_direction() -> None:
    assert retrieval.unit(np.array([[0.0, 0.0], [3.0, 4.0]])).tolist() == [[0, 0], [np.float32(0.6), np.float32(0.8)]]
