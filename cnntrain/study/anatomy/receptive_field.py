"""Which pixels of the image a position of a feature map depends on, carried through torch's operations one by one.

A convolution or pooling of kernel k, stride s, padding p and dilation d turns positions that are j pixels apart and see
[low, high] into positions s*j apart that see [low - p*j, high + (d*(k - 1) - p)*j]; where branches meet, the union is
seen. What mixes all positions of a map (global pooling, a linear layer on the flattened map) sees every pixel that one
of them sees, and so does what is multiplied by it: behind the first squeeze-and-excitation a field does not grow any
more. Statistics that normalise a map are not counted as seeing it. The rules operation by operation: field_rules.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

# sides of the window of torch's poolings
POOLINGS = {
    "max_pool2d_with_indices": 2, "avg_pool2d": 2, "max_pool3d_with_indices": 3, "avg_pool3d": 3,
}  # fmt: skip


@dataclass(frozen=True)
class Axis:
    """One dimension of a field: what position 0 sees, in pixels; the padding counts, so `low` may be negative."""

    low: float
    high: float
    jump: float  # pixels between the fields of neighbours
    whole: bool = False  # every position sees [low, high]

    @property
    def size(self) -> float:
        return self.high - self.low + 1

    def window(self, kernel: int, stride: float, padding: int, dilation: int) -> Axis:
        if self.whole:
            return replace(self, jump=self.jump * stride)
        reach = dilation * (kernel - 1) - padding
        return Axis(self.low - padding * self.jump, self.high + reach * self.jump, self.jump * stride)

    def shift(self, positions: int) -> Axis:
        if self.whole:
            return self
        return replace(self, low=self.low + positions * self.jump, high=self.high + positions * self.jump)

    def collapse(self, positions: int) -> Axis:
        """All of so many positions together."""
        return self if self.whole else Axis(self.low, self.high + (positions - 1) * self.jump, self.jump, True)

    def union(self, other: Axis) -> Axis | None:
        """Both; None where neighbours are not equally far apart, so that the union differs from place to place."""
        if self.jump != other.jump and not (self.whole or other.whole):
            return None
        low, high = min(self.low, other.low), max(self.high, other.high)
        return Axis(low, high, max(self.jump, other.jump), self.whole or other.whole)


@dataclass(frozen=True)
class Field:
    """The receptive field of a tensor's positions, along the one side of a signal, the rows and columns of an image,
    or the frames, rows and columns of a volume. `folded`: the sides of the map that lie in its features."""

    axes: tuple[Axis, ...]
    folded: tuple[int, ...] | None = None

    @property
    def rows(self) -> Axis:
        return self.axes[-2]

    @property
    def columns(self) -> Axis:
        return self.axes[-1]

    def collapse(self, positions: Sequence[int]) -> Field:
        axes = tuple(axis.collapse(count) for axis, count in zip(self.axes, positions, strict=True))
        return Field(axes, (1,) * len(axes))

    def as_whole(self) -> Field:
        """Every position sees all that position 0 sees."""
        return replace(self, axes=tuple(replace(each, whole=True) for each in self.axes))

    @property
    def is_whole(self) -> bool:
        return all(each.whole for each in self.axes)

    def union(self, other: Field) -> Field | None:
        axes = [one.union(another) for one, another in zip(self.axes, other.axes, strict=True)]
        known = tuple(each for each in axes if each is not None)
        return Field(known, self.folded and other.folded) if len(known) == len(axes) else None


def own_field(dimensions: int) -> Field:
    """That of an input with so many sides: each of its values sees itself."""
    return Field((Axis(0, 0, 1),) * dimensions)


@dataclass(frozen=True)
class Window:
    """A kernel that slides over a map: a number for each side of it."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    ceil_mode: bool

    def last(self, count: int) -> Window:
        """Along so many of the last sides: torch pools signals as images of one row, and channels as frames."""
        kernel, stride, padding, dilation = (
            each[-count:] for each in (self.kernel, self.stride, self.padding, self.dilation)
        )
        return Window(kernel, stride, padding, dilation, self.ceil_mode)

    def left_over(self, size: Sequence[int]) -> tuple[int, ...]:
        """Positions of each side, the padding's included, that the last step does not reach: what the floor in
        (N - F + 2P) / S + 1 drops."""
        if self.ceil_mode:
            return (0,) * len(self.kernel)
        each = zip(size, self.kernel, self.padding, self.dilation, self.stride, strict=True)
        return tuple((n + 2 * p - d * (k - 1) - 1) % s for n, k, p, d, s in each)


def bound(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """An operation's arguments by name, defaults included."""
    named = zip(func._schema.arguments, args, strict=False)
    values = {each.name: each.default_value for each in func._schema.arguments if each.has_default_value()}
    return values | {each.name: value for each, value in named} | dict(kwargs)


def window_of(func: Any, values: Mapping[str, Any]) -> Window | None:
    """The window that the operation slides over a map, if it is such an operation."""
    name = func.overloadpacket.__name__
    if name == "convolution":
        shape: Any = list(values["weight"].shape[2:])
        sides = 0 if values["transposed"] else len(shape)
    else:
        shape, sides = values.get("kernel_size"), POOLINGS.get(name, 0)
    if not sides:
        return None
    return Window(
        kernel=_each(shape, sides),
        stride=_each(values["stride"] or shape, sides),  # a pooling's default
        padding=_each(values["padding"], sides),
        dilation=_each(values.get("dilation", 1), sides),
        ceil_mode=bool(values.get("ceil_mode")),
    )


def _each(value: Any, sides: int) -> tuple[int, ...]:
    """Of a torch argument a number for each side: one for all, or several."""
    values = value if isinstance(value, (list, tuple)) else [value]
    return tuple(values) if len(values) == sides else (values[0],) * sides
