"""How far probabilities can be believed: calibration, and the temperature that mends it (Guo et al. 2017,
arXiv:1706.04599)."""

from __future__ import annotations

import numpy as np

BINS = 15
COLDEST, HOTTEST = 0.01, 100.0


def probabilities(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Softmax of the logits [n, classes] at a temperature, in float64."""
    from scipy.special import softmax

    return np.asarray(softmax(logits.astype(np.float64) / temperature, axis=1))


def log_loss(logits: np.ndarray, labels: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """The cross-entropy [n] of each sample, which of finite logits [n, classes] is finite however sure they are."""
    from scipy.special import log_softmax

    given = log_softmax(logits.astype(np.float64) / temperature, axis=1)
    return np.asarray(-given[np.arange(len(labels)), labels])


def temperature(logits: np.ndarray, labels: np.ndarray) -> float | None:
    """By which logits are divided so that the cross-entropy is least; None where no finite one is: of no samples, or
    where every sample or none of them is right, which only the ends of the range would suit.

    Args:
        logits: finite, [n, classes], of samples that the network was not trained on.
        labels: int64 [n].
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import logsumexp

    if not len(labels) or not np.isfinite(logits).all():
        return None
    logits = logits.astype(np.float64)
    margins = logits - logits[np.arange(len(labels)), labels][:, None]  # of each class over the right one

    def loss(cooling: float) -> float:
        """Convex in 1 / temperature."""
        return float(logsumexp(cooling * margins, axis=1).mean())

    found = minimize_scalar(loss, bounds=(1 / HOTTEST, 1 / COLDEST), method="bounded", options={"xatol": 1e-6})
    reached = 1 / float(found.x)
    return reached if 1.01 * COLDEST < reached < 0.99 * HOTTEST else None


def reliability(confidences: np.ndarray, right: np.ndarray, bins: int = BINS) -> dict[str, list[float]]:
    """Of equally wide bins of the confidence, those with samples: their ``count``, mean ``confidence`` and
    ``accuracy``."""
    places = np.clip(np.ceil(confidences * bins).astype(int) - 1, 0, bins - 1)
    count = np.bincount(places, minlength=bins)
    kept = count > 0

    def means(values: np.ndarray) -> list[float]:
        return (np.bincount(places, weights=values, minlength=bins)[kept] / count[kept]).tolist()

    return {"count": count[kept].tolist(), "confidence": means(confidences), "accuracy": means(right.astype(float))}


def expected_error(confidences: np.ndarray, right: np.ndarray, bins: int = BINS) -> float:
    """The expected calibration error: the mean distance between confidence and accuracy of the bins, by their
    counts."""
    found = reliability(confidences, right, bins)
    count, confidence, accuracy = (np.array(found[key]) for key in ("count", "confidence", "accuracy"))
    return float((count * np.abs(confidence - accuracy)).sum() / len(confidences))


def brier(found: np.ndarray, labels: np.ndarray) -> float:
    """The mean squared distance of the probabilities [n, classes] from the labels, summed over classes (Brier 1950),
    from 0 to 2."""
    return float((np.square(found).sum(1) - 2 * found[np.arange(len(labels)), labels] + 1).mean())
