from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntrain.core.errors import InputError
from cnntrain.data.sets.stratify import stratified, stratified_by_rarest


@given(
    counts=st.lists(st.integers(20, 60), min_size=2, max_size=6),
    fractions=st.sampled_from([[0.5, 0.5], [0.9, 0.1], [0.6, 0.2, 0.2], [0.7, 0.15, 0.15]]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(deadline=None, max_examples=40)
def test_every_piece_has_each_class_in_proportion(counts: list[int], fractions: list[float], seed: int) -> None:
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    pieces = stratified(labels, fractions, seed, [str(i) for i in range(len(counts))])
    np.testing.assert_array_equal(np.sort(np.concatenate(pieces)), np.arange(len(labels)))
    for piece, fraction in zip(pieces, fractions, strict=True):
        assert (np.diff(piece) > 0).all()
        assert abs(len(piece) - fraction * len(labels)) <= len(fractions) - 1
        share = np.bincount(labels[piece], minlength=len(counts))
        assert (np.abs(share - fraction * np.array(counts)) < 2).all()


def test_a_seed_is_a_split() -> None:
    labels = np.arange(100) % 4
    one, same, other = (stratified(labels, [0.8, 0.2], seed, list("abcd"))[1] for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_too_few_images_name_the_class() -> None:
    labels = np.array([0] * 50 + [1, 1])
    with pytest.raises(InputError, match=r"at least 3 images.*'rare' has 2, 'common' has 50"):
        stratified(labels, [0.6, 0.2, 0.2], 0, ["common", "rare"])


def test_a_piece_smaller_than_the_classes_is_refused() -> None:
    with pytest.raises(InputError, match=r"data\.split=\[0\.9, 0\.1\].*30 images in 10 classes"):
        stratified(np.arange(30) % 10, [0.9, 0.1], 0, [str(i) for i in range(10)])


def test_a_class_without_training_images_is_refused() -> None:
    labels = np.array([0] * 500 + [1] * 2)
    with pytest.raises(InputError, match="no image to train on"):
        stratified(labels, [0.1, 0.9], 0, ["common", "rare"])


@given(
    shares=st.lists(st.floats(0.01, 0.6), min_size=1, max_size=6),
    count=st.integers(30, 200),
    fractions=st.sampled_from([[0.5, 0.5], [0.9, 0.1], [0.6, 0.2, 0.2]]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(deadline=None, max_examples=60)
def test_images_of_several_labels_are_shared_and_each_label_is_trained(
    shares: list[float], count: int, fractions: list[float], seed: int
) -> None:
    labels = np.random.default_rng(seed).random((count, len(shares))) < np.array(shares)
    names = [str(i) for i in range(len(shares))]
    pieces = stratified_by_rarest(labels, fractions, seed, names)
    np.testing.assert_array_equal(np.sort(np.concatenate(pieces)), np.arange(count))
    for piece, fraction in zip(pieces, fractions, strict=True):
        assert (np.diff(piece) > 0).all()
        assert abs(len(piece) - fraction * count) <= 2 + len(shares)  # an image for each label may have moved
    np.testing.assert_array_equal(labels[pieces[0]].any(0), labels.any(0))
    again = stratified_by_rarest(labels, fractions, seed, names)
    for one, same in zip(pieces, again, strict=True):
        np.testing.assert_array_equal(one, same)


def test_a_rare_label_is_shared_in_proportion_beside_a_frequent_one() -> None:
    labels = np.ones((200, 2), dtype=bool)
    labels[20:, 1] = False
    train, val = stratified_by_rarest(labels, [0.5, 0.5], 0, ["frequent", "rare"])
    assert labels[train].sum(0).tolist() == [100, 10] and labels[val].sum(0).tolist() == [100, 10]
