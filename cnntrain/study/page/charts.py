"""The geometry of the charts of a page, which its template draws as SVG: plain values, in the units of the picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import ceil, floor, isfinite, log10

WIDTH, HEIGHT = 440, 250
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 10, 40  # margins
TICKS = 7  # at an axis, at most
LOGARITHMIC = 10  # from the least to the most value, all above 0: the ratio from which an axis is logarithmic
LEAST = 1e-3  # of numbers that are written out at an axis
MARKED = 30  # points of a line, up to which each has a mark


@dataclass(frozen=True)
class Line:
    """A line of a chart; `values` has nan where there is no value."""

    name: str
    values: Sequence[float]


@dataclass(frozen=True)
class Bubble:
    """A thing that has a cost, a size and a value with an interval."""

    name: str
    x: float
    size: float
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Dot:
    x: float
    y: float
    radius: float
    number: int  # of its line, from 0


@dataclass
class Chart:
    """What the template draws.

    Attributes:
        paths: of each line its ``d`` and its number.
        bars: of intervals: x, y of the low and of the high end, and the number of what it belongs to.
        legend: of each line its name and its number.
        stops: what is told of a place: its x, its y (None: whatever y), and the text.
    """

    name: str
    title: str
    x_title: str
    y_title: str
    x_ticks: list[tuple[float, str]] = field(default_factory=list)
    y_ticks: list[tuple[float, str]] = field(default_factory=list)
    paths: list[tuple[str, int]] = field(default_factory=list)
    dots: list[Dot] = field(default_factory=list)
    bars: list[tuple[float, float, float, int]] = field(default_factory=list)
    legend: list[tuple[str, int]] = field(default_factory=list)
    stops: list[tuple[float, float | None, str]] = field(default_factory=list)
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


@dataclass(frozen=True)
class Axis:
    """From values to places in the picture.

    Attributes:
        start, end: places of `low` and `high`.
    """

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    def place(self, value: float) -> float:
        scale: Callable[[float], float] = log10 if self.is_log else float
        low, high = scale(self.low), scale(self.high)
        return round(self.start + (scale(value) - low) / (high - low) * (self.end - self.start), 1)

    def ticks(self, percent: bool = False) -> list[tuple[float, str]]:
        values = _decades(self.low, self.high) if self.is_log else ticks(self.low, self.high)
        return [(self.place(each), _number(each, percent)) for each in values]


def axis(values: Sequence[float], start: float, end: float, whole: bool = False) -> Axis:
    """One that the finite ones of `values` fit on.

    Args:
        whole: the values are counts such as epochs, from the first to the last without room around.
    """
    found = [each for each in values if isfinite(each)] or [0.0, 1.0]
    low, high = min(found), max(found)
    if whole and high > low:
        return Axis(low, high, start, end)
    if low > 0 and high >= LOGARITHMIC * low:
        return Axis(low / 1.1, high * 1.1, start, end, is_log=True)
    room = (high - low) * 0.06 or abs(high) * 0.1 or 0.5
    return Axis(low - room if low < 0 or low > room else 0.0, high + room, start, end)


def ticks(low: float, high: float) -> list[float]:
    """Round numbers from `low` to `high`: multiples of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / TICKS
    power = 10.0 ** floor(log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    return [round(number * step, 12) for number in range(ceil(low / step - 1e-9), floor(high / step + 1e-9) + 1)]


def _decades(low: float, high: float) -> list[float]:
    """Powers of ten, and where these are few 2 and 5 times them."""
    powers = range(floor(log10(low)), ceil(log10(high)) + 1)
    factors = (1, 2, 5) if len(powers) < 4 else (1,)
    found = [factor * 10.0**power for power in powers for factor in factors]
    return [each for each in found if low <= each <= high]


def _number(value: float, percent: bool) -> str:
    if percent:
        return f"{100 * value:g}"
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{unit}"
    if value == 0 or abs(value) >= LEAST:
        return f"{value:.3g}"
    return f"{value:.1e}".replace(".0e", "e").replace("e-0", "e-")  # which fits beside the axis


def lines(
    name: str, title: str, epochs: Sequence[float], shown: Sequence[Line], tell: Callable[[float], str], percent: bool
) -> Chart:
    """Values by epoch.

    Args:
        tell: a value as people read it.
        percent: whether the axis is in percent, the values being fractions.
    """
    chart = Chart(name, title, "epoch", "%" if percent else "")
    x = axis(epochs, chart.left, chart.right, whole=True)
    every = [value for line in shown for value in line.values]
    y = axis(every, chart.bottom, chart.top)
    chart.x_ticks = [each for each in x.ticks() if "." not in each[1]] if len(epochs) > 1 else [_middle(x, epochs)]
    chart.y_ticks = y.ticks(percent)
    for number, line in enumerate(shown):
        points = [
            (x.place(epoch), y.place(value))
            for epoch, value in zip(epochs, line.values, strict=True)
            if isfinite(value)
        ]
        chart.paths.append((path(points), number))
        chart.legend.append((line.name, number))
        if len(points) <= MARKED:
            chart.dots += [Dot(*point, 2.5, number) for point in points]
    for position, epoch in enumerate(epochs):
        told = [f"{line.name} {tell(v)}" for line in shown if isfinite(v := line.values[position])]
        chart.stops.append((x.place(epoch), None, f"epoch {epoch:g}: {', '.join(told) or 'no numbers'}"))
    return chart


def _middle(x: Axis, epochs: Sequence[float]) -> tuple[float, str]:
    return (x.place(epochs[0]), f"{epochs[0]:g}")


def path(points: Sequence[tuple[float, float]]) -> str:
    """The ``d`` of a line through points."""
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in points) if points else ""


def reliability(name: str, curves: Sequence[tuple[str, dict[str, list[float]]]]) -> Chart:
    """Accuracy by confidence.

    Args:
        curves: names, and what `calibration.reliability` gives.
    """
    chart = Chart(name, "Accuracy by confidence", "confidence, %", "accuracy, %")
    x, y = Axis(0, 1, chart.left, chart.right), Axis(0, 1, chart.bottom, chart.top)
    chart.x_ticks, chart.y_ticks = x.ticks(percent=True), y.ticks(percent=True)
    chart.paths.append((path([(x.place(0), y.place(0)), (x.place(1), y.place(1))]), 9))  # as sure as right
    for number, (told, curve) in enumerate(curves):
        points = [(x.place(c), y.place(a)) for c, a in zip(curve["confidence"], curve["accuracy"], strict=True)]
        chart.paths.append((path(points), number))
        chart.dots += [Dot(*point, 3, number) for point in points]
        chart.legend.append((told, number))
        for point, count, sure, right in zip(
            points, curve["count"], curve["confidence"], curve["accuracy"], strict=True
        ):
            text = f"{told}: {count:,} images, confidence {sure:.1%}, accuracy {right:.1%}"
            chart.stops.append((*point, text))
    return chart


def precision_by_recall(name: str, recalls: Sequence[float], curves: Sequence[tuple[str, Sequence[float]]]) -> Chart:
    """Args:
    curves: names, and the precision at each recall.
    """
    chart = Chart(name, "Precision by recall, at an overlap of 50%", "recall, %", "precision, %")
    x, y = Axis(0, 1, chart.left, chart.right), Axis(0, 1, chart.bottom, chart.top)
    chart.x_ticks, chart.y_ticks = x.ticks(percent=True), y.ticks(percent=True)
    for number, (told, values) in enumerate(curves):
        chart.paths.append((path([(x.place(r), y.place(p)) for r, p in zip(recalls, values, strict=True)]), number))
        chart.legend.append((told, number))
    for place, recall in enumerate(recalls):
        words = ", ".join(f"{told.rpartition(':')[0]} {values[place]:.1%}" for told, values in curves)
        chart.stops.append((x.place(recall), None, f"recall {recall:.0%}: precision {words}"))
    return chart


def bubbles(name: str, found: Sequence[Bubble], tell: Callable[[Bubble], str], words: str, percent: bool) -> Chart:
    """Values with their intervals by cost, with sizes as areas.

    Args:
        words: what the values are.
    """
    title, unit = f"{words[:1].upper()}{words[1:]} by cost", ", %" if percent else ""
    chart = Chart(name, title, "multiply-adds an image", f"{words}{unit}", height=320, bottom=320 - BOTTOM)
    x = axis([each.x for each in found], chart.left + 16, chart.right - 16)
    y = axis([end for each in found for end in (each.low, each.high)], chart.bottom, chart.top)
    chart.x_ticks, chart.y_ticks = x.ticks(), y.ticks(percent)
    most = max(each.size for each in found)
    for number, each in enumerate(found):
        place = x.place(each.x), y.place(each.value)
        chart.dots.append(Dot(*place, round(max(22 * (each.size / most) ** 0.5, 3), 1), number))
        chart.bars.append((place[0], y.place(each.low), y.place(each.high), number))
        chart.legend.append((each.name, number))
        chart.stops.append((*place, tell(each)))
    return chart
