"""The geometry of charts."""

from __future__ import annotations

from math import nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnntrain.study.page import charts
from cnntrain.study.page.charts import Bubble, Line


@given(st.floats(-1e3, 1e3), st.floats(1e-2, 1e9))
def test_ticks_are_few_round_and_within(low: float, width: float) -> None:
    high = low + width
    found = charts.ticks(low, high)
    assert len(found) <= charts.TICKS + 1
    assert all(low - 1e-6 * width <= each <= high + 1e-6 * width for each in found)
    assert len(found) >= 2


def test_a_line_goes_through_its_points() -> None:
    chart = charts.lines("top1", "accuracy", [1, 2, 3], [Line("val", [0.2, nan, 0.6])], "{:.0%}".format, percent=True)
    ((path, number),) = chart.paths
    places = [tuple(map(float, each.split())) for each in path[1:].split("L")]
    assert number == 0 and [x for x, _ in places] == [chart.left, chart.right]  # the second is no number
    ticks = {text: y for y, text in chart.y_ticks}
    assert ticks["60"] == places[1][1] and ticks["20"] == places[0][1]
    assert [text for *_, text in chart.stops] == ["epoch 1: val 20%", "epoch 2: no numbers", "epoch 3: val 60%"]


def test_one_epoch_is_a_dot_in_a_chart() -> None:
    chart = charts.lines("loss", "loss", [1], [Line("train", [2.0])], str, percent=False)
    assert len(chart.dots) == 1 and chart.x_ticks == [(chart.dots[0].x, "1")]


def test_wide_ranges_are_logarithmic() -> None:
    axis = charts.axis([0.001, 1.0], 0, 300)
    assert axis.is_log and axis.place(0.1) - axis.place(0.01) == pytest.approx(axis.place(1) - axis.place(0.1), abs=0.2)
    assert [text for _, text in axis.ticks()] == ["0.001", "0.01", "0.1", "1"]
    assert not charts.axis([0.0, 1.0], 0, 300).is_log


def test_areas_are_in_proportion() -> None:
    found = [Bubble("a", 1e6, 4e6, 0.9, 0.8, 0.95), Bubble("b", 1e8, 16e6, 0.95, 0.9, 0.97)]
    chart = charts.bubbles("cost", found, lambda each: each.name, "accuracy", percent=True)
    assert chart.title == "Accuracy by cost" and chart.y_title == "accuracy, %"
    one, other = chart.dots
    assert other.radius**2 / one.radius**2 == pytest.approx(4) and one.x < other.x and one.y > other.y
    assert [(low > high) for _, low, high, _ in chart.bars] == [True, True]  # down is more in a picture
