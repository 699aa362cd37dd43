"""Labels that are likely wrong: what a simple classifier, that never saw an image's own label, says against it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cnntrain.core.seeds import derive
from cnntrain.core.words import CELL, printable
from cnntrain.study.checking.findings import LABEL, Finding
from cnntrain.study.checking.looks import SIDE, Looks, in_blocks

FOLDS = 5
LEAST = 2 * FOLDS  # images of a class, of which fewer teach nothing
MOST_TAUGHT = 10_000  # images that a fold learns from
DIRECTIONS, CELLS = 8, 4  # of gradients; a side
STEPS = 30  # of the solver: an approximate optimum is as good here
STRENGTH = 0.05  # of the inverse of the regularisation
CERTAIN = 100.0  # times as probable as the given label is the other one
FAINTEST = 0.05  # amplitude of a frequency that is not there


@dataclass(frozen=True)
class Judged:
    """What was found of labels.

    Attributes:
        accuracy: of the classifier, on images that it did not learn from.
        count: images that were judged.
    """

    findings: list[Finding]
    accuracy: float
    count: int


def judge(looks: Looks, features: np.ndarray | None = None) -> Judged | None:
    """Hold each label against the out-of-fold probabilities of a logistic regression.

    Args:
        features: of each image, float32 [n, features]; None: its small picture and the directions in it.

    Returns:
        None where there are no two classes with enough images.
    """
    rows = np.flatnonzero(looks.is_sound & (looks.labels >= 0))
    counts = np.bincount(looks.labels[rows], minlength=len(looks.classes))
    rows = rows[counts[looks.labels[rows]] >= LEAST]
    kept, labels = np.unique(looks.labels[rows], return_inverse=True)
    if len(kept) < 2:
        return None
    found = out_of_fold(plain_features(looks.small[rows]) if features is None else features[rows], labels)
    findings = []
    for row, guess in suspects(found, labels):
        given, other = (looks.classes[kept[each]] for each in (labels[row], guess))
        odds = f"{found[row, guess]:.0%} against {found[row, labels[row]]:.1%}"
        words = f"{printable(given, CELL)}, more like {printable(other, CELL)}: {odds}"
        findings.append(Finding(LABEL, [looks.ids[rows[row]]], words))
    return Judged(findings, float((found.argmax(axis=1) == labels).mean()), len(rows))


def suspects(probabilities: np.ndarray, labels: np.ndarray) -> Iterator[tuple[int, int]]:
    """Rows whose label is likely wrong, the likeliest first, each with the class that is likelier.

    Those for which another class is `CERTAIN` times as probable as the label, in the order of the normalised margin of
    confident learning (Northcutt, Jiang & Chuang 2021, arXiv:1911.00068). Its thresholds, the mean probability of a
    class over the rows that carry its label, are not asked for: on labels of MNIST, Fashion-MNIST and emoji that were
    changed at random they named fewer of the changed and more of the others.

    Args:
        probabilities: out-of-fold, [n, classes].
        labels: positions of classes, int64 [n].
    """
    every = np.arange(len(labels))
    own = probabilities[every, labels]
    others = probabilities.copy()
    others[every, labels] = -1.0
    guess, most = others.argmax(axis=1), others.max(axis=1)
    rows = np.flatnonzero(most >= CERTAIN * own)
    for row in rows[np.argsort(own[rows] - most[rows], kind="stable")]:
        yield int(row), int(guess[row])


def out_of_fold(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Probabilities of the classes for each row, by a classifier that learned from other rows, float64 [n, classes].

    Args:
        labels: positions of classes, of which each has at least two rows, int64 [n].
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    generator = np.random.default_rng(derive(0, "check", "folds"))
    order = generator.permutation(len(labels))
    fold = np.empty(len(labels), np.int64)
    for label in range(int(labels.max()) + 1):
        own = order[labels[order] == label]
        fold[own] = (np.arange(len(own)) + label) % FOLDS
    features = (features - features.mean(axis=0)) / np.maximum(features.std(axis=0), 1e-6)
    found = np.zeros((len(labels), int(labels.max()) + 1))
    with warnings.catch_warnings(), threadpool_limits(1):  # several threads on a busy machine wait for one another
        warnings.simplefilter("ignore", ConvergenceWarning)
        for each in range(FOLDS):
            taught = order[fold[order] != each][:MOST_TAUGHT]
            asked = np.flatnonzero(fold == each)
            classifier = LogisticRegression(C=STRENGTH, max_iter=STEPS)
            classifier.fit(features[taught], labels[taught])
            found[asked[:, None], classifier.classes_] = classifier.predict_proba(features[asked])
    return found


def plain_features(small: np.ndarray) -> np.ndarray:
    """Of small pictures, uint8 [n, SIDE, SIDE, 3], float32 [n, features]: their colours at half the size, histograms of
    the directions of their gradients (Dalal & Triggs 2005, doi:10.1109/CVPR.2005.177), and the energy of their
    frequencies (Oliva & Torralba 2001, doi:10.1023/A:1011139631724), which is that of a texture wherever it lies."""
    return in_blocks(_plain_features, small)


def _plain_features(small: np.ndarray) -> np.ndarray:
    values = small.astype(np.float32) / 255
    rows = values[:, ::2] + values[:, 1::2]
    colours = (rows[:, :, ::2] + rows[:, :, 1::2]) / 4
    grey = values @ np.full(3, 1 / 3, np.float32)
    found = [each.reshape(len(small), -1) for each in (colours, _directions(grey), _energy(grey))]
    return np.concatenate(found, axis=1, dtype=np.float32)


def _directions(grey: np.ndarray) -> np.ndarray:
    """[n, cells, DIRECTIONS]; each gradient is shared by the two bins next to it."""
    count = len(grey)
    down, right = np.gradient(grey, axis=(1, 2))
    strength = np.hypot(down, right)
    turn = np.arctan2(down, right) * (DIRECTIONS / (2 * np.pi))
    lower = np.floor(turn)
    share, bins = turn - lower, lower.astype(np.int64)
    cell = np.arange(SIDE) // (SIDE // CELLS)
    first = ((np.arange(count)[:, None, None] * CELLS + cell[:, None]) * CELLS + cell) * DIRECTIONS
    size = count * CELLS * CELLS * DIRECTIONS
    cells = np.bincount((first + bins % DIRECTIONS).ravel(), (strength * (1 - share)).ravel(), size)
    cells += np.bincount((first + (bins + 1) % DIRECTIONS).ravel(), (strength * share).ravel(), size)
    cells = cells.reshape(count, CELLS * CELLS, DIRECTIONS)
    return cells / (np.linalg.norm(cells, axis=2, keepdims=True) + 0.1)


def _energy(grey: np.ndarray) -> np.ndarray:
    """Logarithms, [n, SIDE, SIDE // 2 + 1], without the mean, and with a window, so that borders have no part in it."""
    window = np.hanning(SIDE + 2)[1:-1].astype(np.float32)
    windowed = (grey - grey.mean(axis=(1, 2), keepdims=True)) * window[:, None] * window
    return np.log(np.abs(np.fft.rfft2(windowed)) + FAINTEST)
