"""Labels that are likely wrong: what a simple classifier, that never saw an image's own label, says against it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cnntrain.core.seeds import derive
from cnntrain.core.words import CELL, printable
from cnntrain.study.checking.findings import LABEL, Finding
from cnntrain.study.checking.looks import SIDE, Looks

FOLDS = 5
LEAST = 2 * FOLDS  # images of a class, of which fewer teach nothing
MOST_TAUGHT = 10_000  # images that a fold learns from
DIRECTIONS, CELLS = 8, 4  # of gradients; a side
STEPS = 30  # of the solver: an approximate optimum is as good here
STRENGTH = 0.05  # of the inverse of the regularisation
CERTAIN = 20.0  # times as probable as the given label is the other one


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

    By confident learning (Northcutt, Jiang & Chuang 2021, arXiv:1911.00068): a row counts for a class of which its
    probability is at least the mean probability of that class over the rows that carry its label; of several for the
    likeliest. Of those that so count for another class than their label, here those are taken for which that one is
    `CERTAIN` times as probable. Order: by normalised margin.

    Args:
        probabilities: out-of-fold, [n, classes].
        labels: positions of classes, of which each has a row, int64 [n].
    """
    classes = probabilities.shape[1]
    own = probabilities[np.arange(len(labels)), labels]
    thresholds = np.bincount(labels, own, classes) / np.bincount(labels, minlength=classes)
    above = np.where(probabilities >= thresholds, probabilities, -1.0)
    guess, most = above.argmax(axis=1), above.max(axis=1)
    rows = np.flatnonzero((most > 0) & (guess != labels) & (most >= CERTAIN * own))
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
    for each in range(FOLDS):
        taught = order[fold[order] != each][:MOST_TAUGHT]
        asked = np.flatnonzero(fold == each)
        classifier = LogisticRegression(C=STRENGTH, max_iter=STEPS)
        with warnings.catch_warnings(), threadpool_limits(1):  # several threads on a busy machine wait for one another
            warnings.simplefilter("ignore", ConvergenceWarning)
            classifier.fit(features[taught], labels[taught])
        found[asked[:, None], classifier.classes_] = classifier.predict_proba(features[asked])
    return found


def plain_features(small: np.ndarray) -> np.ndarray:
    """Of small pictures, uint8 [n, SIDE, SIDE, 3], their colours at half the size and histograms of the directions of
    their gradients, each shared by the two bins next to it (Dalal & Triggs 2005, doi:10.1109/CVPR.2005.177), float32
    [n, features]."""
    count, half = len(small), SIDE // 2
    values = small.astype(np.float32) / 255
    colours = values.reshape(count, half, 2, half, 2, 3).mean(axis=(2, 4)).reshape(count, -1)
    down, right = np.gradient(values.mean(axis=3), axis=(1, 2))
    strength = np.hypot(down, right)
    turn = np.arctan2(down, right) * (DIRECTIONS / (2 * np.pi))
    lower = np.floor(turn)
    share, bins = turn - lower, lower.astype(np.int64)
    cell = np.arange(SIDE) // (SIDE // CELLS)
    image = np.arange(count)[:, None, None]
    first = ((image * CELLS + cell[:, None]) * CELLS + cell) * DIRECTIONS  # the place of a pixel's cell's histogram
    size = count * CELLS * CELLS * DIRECTIONS
    found = np.bincount((first + bins % DIRECTIONS).ravel(), (strength * (1 - share)).ravel(), size)
    found += np.bincount((first + (bins + 1) % DIRECTIONS).ravel(), (strength * share).ravel(), size)
    cells = found.reshape(count, -1, DIRECTIONS).astype(np.float32)
    norm = np.linalg.norm(cells, axis=2, keepdims=True)
    return np.concatenate([colours, (cells / (norm + 0.1)).reshape(count, -1)], axis=1, dtype=np.float32)
