"""Maps over images: which colour says what."""

from __future__ import annotations

import numpy as np
import pytest

from cnntrain.study.explain import drawing


@pytest.mark.parametrize("brightness", [0.0, 0.5, 1.0])
def test_red_speaks_for_and_blue_against_on_dark_images_too(brightness: float) -> None:
    values = np.array([[1.0, -1.0, 0.0]])
    (row,) = drawing.overlay(np.full((1, 3, 1), brightness), values)
    (red, blue, grey) = row
    assert red[0] > 0.7 and red[0] - red[1:].max() > 0.3
    assert blue[2] > 0.7 and blue[2] - blue[:2].max() > 0.3
    assert np.ptp(grey) < 1e-6


def test_a_map_without_signs_is_brightest_where_it_is_greatest() -> None:
    brightness = drawing.overlay(np.full((1, 3, 3), 0.5), np.array([[0.0, 0.5, 1.0]])).sum(2)[0]
    assert np.all(np.diff(brightness) > 0.3)
