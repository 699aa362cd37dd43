"""Intervals against what defines them."""

from __future__ import annotations

from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from cnntrain.core.intervals import of_proportion


@given(st.integers(1, 10**6), st.data())
def test_the_ends_are_where_the_share_is_just_not_unlikely(count: int, data: st.DataObject) -> None:
    """Wilson's are the two proportions from which the share found is 1.96 of their own deviations away."""
    right = data.draw(st.integers(0, count))
    low, high = of_proportion(right / count, count)
    assert 0 <= low <= right / count <= high <= 1
    for end in (low, high):
        distance = abs(right / count - end)
        assert distance == pytest.approx(1.959964 * sqrt(end * (1 - end) / count), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("share", [0.5, 0.9, 0.98])
def test_nineteen_of_twenty_hold_the_truth(share: float) -> None:
    """Exactly, over all that could be found on 400 samples."""
    held = sum(
        binom.pmf(right, 400, share)
        for right in range(401)
        if (ends := of_proportion(right / 400, 400))[0] <= share <= ends[1]
    )
    assert 0.93 < held < 0.97
