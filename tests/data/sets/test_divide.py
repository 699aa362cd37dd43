"""Folds and groups: each sample judged once, no group on both sides, classes in proportion."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from cnntrain.core.errors import InputError
from cnntrain.data.sets.divide import Division, check_groups_apart, divided, groups_of

RATIO = [0.75, 0.25]


def names(count: int) -> list[str]:
    return [f"class {i}" for i in range(count)]


def folds(
    labels: np.ndarray, count: int, seed: int = 0, groups: list[str] | None = None
) -> list[dict[str, np.ndarray]]:
    classes = names(int(labels.max()) + 1)
    return [divided(labels, classes, Division(RATIO, seed, count, fold), groups) for fold in range(count)]


def grouped(sizes: list[int], classes: int) -> tuple[np.ndarray, list[str]]:
    """Samples of groups of these sizes, which have several classes, in a mixed order."""
    groups = np.repeat([f"g{i}" for i in range(len(sizes))], sizes)
    labels = np.arange(len(groups)) % classes
    order = np.random.default_rng(0).permutation(len(groups))
    return labels[order], groups[order].tolist()


@given(
    counts=st.lists(st.integers(16, 60), min_size=2, max_size=5),
    count=st.integers(2, 6),
    seed=st.integers(0, 2**32 - 1),
)
@settings(deadline=None, max_examples=15)
def test_each_sample_is_in_one_test_fold_and_each_class_in_equal_shares(
    counts: list[int], count: int, seed: int
) -> None:
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    found = folds(labels, count, seed)
    np.testing.assert_array_equal(np.sort(np.concatenate([each["test"] for each in found])), np.arange(len(labels)))
    shares = np.array([np.bincount(labels[each["test"]], minlength=len(counts)) for each in found])
    assert (np.abs(shares - np.array(counts) / count) < 1).all()
    for each, tested in zip(found, shares, strict=True):
        np.testing.assert_array_equal(np.sort(np.concatenate([*each.values()])), np.arange(len(labels)))
        rest = len(each["train"]) + len(each["val"])
        assert abs(len(each["val"]) - rest / 4) <= 1
        share = np.bincount(labels[each["val"]], minlength=len(counts))
        assert (np.abs(share - (np.array(counts) - tested) / 4) < 2).all()


@given(
    sizes=st.lists(st.integers(2, 9), min_size=12, max_size=30),
    classes=st.integers(2, 3),
    count=st.sampled_from([None, 2, 3, 5]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(deadline=None, max_examples=20)
def test_no_group_is_on_both_sides(sizes: list[int], classes: int, count: int | None, seed: int) -> None:
    labels, groups = grouped(sizes, classes)
    assume(len(np.unique(labels)) == classes)
    if count is None:
        found = [divided(labels, names(classes), Division([0.6, 0.2, 0.2], seed, None, None), groups)]
    else:
        found = folds(labels, count, seed, groups)
        np.testing.assert_array_equal(np.sort(np.concatenate([each["test"] for each in found])), np.arange(len(labels)))
    for each in found:
        np.testing.assert_array_equal(np.sort(np.concatenate([*each.values()])), np.arange(len(labels)))
        check_groups_apart({part: [groups[i] for i in index] for part, index in each.items()})
        assert list(each) == ["train", "val", "test"] and all(len(index) for index in each.values())
        assert len(np.unique(labels[each["train"]])) == classes


def test_folds_are_those_of_scikit_learn() -> None:
    labels, groups = grouped([3, 5, 2, 7, 4, 6, 3, 5, 4, 2, 6, 8], 3)
    plain = StratifiedKFold(4, shuffle=True, random_state=7).split(labels, labels)
    for each, (_, test) in zip(folds(labels, 4, 7), plain, strict=True):
        np.testing.assert_array_equal(each["test"], test)
    apart = StratifiedGroupKFold(4, shuffle=True, random_state=7).split(labels, labels, groups)
    for each, (_, test) in zip(folds(labels, 4, 7, groups), apart, strict=True):
        np.testing.assert_array_equal(each["test"], test)


def test_grouped_fractions_are_near_to_what_is_asked() -> None:
    labels, groups = grouped([4] * 200, 4)
    found = divided(labels, names(4), Division([0.7, 0.1, 0.2], 0, None, None), groups)
    shares = {part: len(index) / len(labels) for part, index in found.items()}
    assert shares == {"train": pytest.approx(0.7, abs=0.02), "val": pytest.approx(0.1, abs=0.02), "test": 0.2}
    for index in found.values():
        assert np.abs(np.bincount(labels[index]) / len(index) - 0.25).max() < 0.02


def test_a_seed_is_a_division() -> None:
    labels, groups = grouped([4] * 30, 3)
    one, same, other = (folds(labels, 3, seed, groups)[1] for seed in (1, 1, 2))
    assert {part: index.tolist() for part, index in one.items()} == {part: i.tolist() for part, i in same.items()}
    assert one["test"].tolist() != other["test"].tolist()


def test_too_few_images_or_groups_are_named() -> None:
    with pytest.raises(InputError, match=r"data\.folds=5 \(a class needs at least 5 images\).*'class 1' has 3"):
        folds(np.array([0] * 20 + [1] * 3), 5)
    labels, groups = grouped([10, 10, 10], 2)
    with pytest.raises(InputError, match=r"data\.folds=5 \(3 groups cannot be in 5 parts\)"):
        folds(labels, 5, groups=groups)
    alone = np.array([0] * 8 + [1] * 4)
    with pytest.raises(InputError, match="all images of 'class 1' are of one group"):
        folds(alone, 2, groups=[*"aabbccdd", *"eeee"])
    with pytest.raises(InputError, match=r"data\.split=.*all images of 'class 1' are of one group"):
        divided(alone, names(2), Division(RATIO, 0, None, None), [*"aabbccdd", *"eeee"])


def test_a_class_that_would_only_be_tested_is_refused() -> None:
    labels = np.array([0] * 30 + [1] * 2)
    groups = [f"g{i // 2}" for i in range(30)] + ["x", "y"]
    for fold in range(2):  # one image of class 1 is tested, the other then is all that train and val have
        with pytest.raises(InputError, match="class 1"):
            divided(labels, names(2), Division(RATIO, 0, 2, fold), groups)


def test_a_group_is_what_the_pattern_finds_and_each_id_must_match() -> None:
    assert groups_of("(p[0-9]+)", ["train/cat/p1_a.png", "dog/p22.png"]) == ["p1", "p22"]
    with pytest.raises(InputError, match=r"data\.group=\(p\[0-9\]\+\) does not match 2 of 3 ids: 'x\.png', 'y\.png'"):
        groups_of("(p[0-9]+)", ["p1.png", "x.png", "y.png"])


def test_torn_groups_are_named_with_their_parts() -> None:
    check_groups_apart({"train": ["a", "a"], "val": ["b"]})
    with pytest.raises(InputError, match=r"1 of 3 groups are in several parts .*\(train, test\): 'a'"):
        check_groups_apart({"train": ["a", "c"], "val": ["b"], "test": ["a"]})


@pytest.mark.parametrize("with_groups", [False, True])
def test_images_of_several_labels_are_divided_by_their_rarest(with_groups: bool) -> None:
    draws = np.random.default_rng(0)
    labels = draws.random((600, 4)) < [0.6, 0.3, 0.1, 0.04]
    groups = [f"g{number}" for number in draws.integers(60, size=600)] if with_groups else None
    found = folds_of_several(labels, groups)
    assert np.array_equal(np.sort(np.concatenate([each["test"] for each in found])), np.arange(600))
    for each in found:
        shares = labels[each["test"]].mean(0)
        assert shares == pytest.approx(labels.mean(0), abs=0.06 if with_groups else 0.03)
        assert labels[each["train"]].any(0).all()
        assert len(np.intersect1d(each["train"], each["test"])) == len(np.intersect1d(each["val"], each["test"])) == 0
        if groups is not None:
            assert not {groups[i] for i in each["train"]} & {groups[i] for i in (*each["val"], *each["test"])}


def folds_of_several(labels: np.ndarray, groups: list[str] | None) -> list[dict[str, np.ndarray]]:
    return [divided(labels, list("abcd"), Division(RATIO, 3, 4, fold), groups) for fold in range(4)]


def test_a_label_that_would_only_be_tested_is_refused() -> None:
    labels = np.zeros((40, 2), dtype=bool)
    labels[:, 0] = True
    labels[0, 1] = True
    with pytest.raises(InputError, match=r"data.folds=4: none with the label 'b' would be trained on"):
        [divided(labels, ["a", "b"], Division(RATIO, 0, 4, fold)) for fold in range(4)]
