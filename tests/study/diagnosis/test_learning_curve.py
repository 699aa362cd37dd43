"""The power law through errors: numpy's fit, intervals that hold what they promise, and honest words."""

from __future__ import annotations

import numpy as np
import pytest

from cnntrain.study.diagnosis.learning_curve import Point, fit, in_words

IMAGES = (125, 250, 500, 1000)


def points(errors: list[float], count: int) -> list[Point]:
    return [Point(images, error, count) for images, error in zip(IMAGES, errors, strict=True)]


def test_it_is_numpys_weighted_line_and_foretells_what_follows_from_it() -> None:
    errors, count = [0.41, 0.30, 0.21, 0.16], 500
    found = fit(points(errors, count))
    shares = (np.round(np.array(errors) * count) + 0.5) / (count + 1)
    weights = np.sqrt(count * shares / (1 - shares))
    slope, intercept = np.polyfit(np.log(IMAGES), np.log(shares), 1, w=weights)
    assert found["exponent"] == pytest.approx(-slope) and found["scale"] == pytest.approx(np.exp(intercept))
    twice, four = found["ahead"]
    assert twice["images"] == 2000 and twice["error"] == pytest.approx(np.exp(intercept) * 2000**slope)
    assert four["error"] == pytest.approx(np.exp(intercept) * 4000**slope)
    assert twice["interval"][0] < twice["error"] < twice["interval"][1]
    assert found["helps"] and "more images help; 2,000" in in_words(found)


def test_the_intervals_hold_the_true_exponent_in_about_95_of_100_cases() -> None:
    draws, exponent, count, held = np.random.default_rng(3), 0.4, 800, 0
    for _ in range(100):
        true = 2.5 * np.array(IMAGES, dtype=float) ** -exponent
        low, high = fit(points(list(draws.binomial(count, true) / count), count))["exponent_interval"]
        held += low <= exponent <= high
    assert 89 <= held <= 100


def test_what_is_not_resolved_is_said() -> None:
    flat = fit(points([0.10, 0.12, 0.09, 0.11], 90))
    assert flat["helps"] is None and "not resolved" in in_words(flat)
    bent = fit(points([0.60, 0.05, 0.50, 0.04], 5000))
    assert not bent["fits"] and bent["helps"] is None and "nothing is foretold" in in_words(bent)
    worse = fit(points([0.10, 0.14, 0.19, 0.27], 5000))
    said = in_words(worse)
    assert worse["helps"] is False and "do not help" in said and "^0." in said, "the error grows: one sign"
    perfect = fit(points([0.02, 0.01, 0.0, 0.0], 500))
    assert np.isfinite([perfect["exponent"], *perfect["exponent_interval"]]).all()
    with pytest.raises(ValueError, match="3 points"):
        fit(points([0.1, 0.1, 0.1, 0.1], 50)[:2])
