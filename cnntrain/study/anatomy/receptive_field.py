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
    """The receptive field of a tensor's positions. `folded`: rows and columns of the map that lie in its features."""

    rows: Axis
    columns: Axis
    folded: tuple[int, int] | None = None

    def collapse(self, positions: tuple[int, int]) -> Field:
        return Field(self.rows.collapse(positions[0]), self.columns.collapse(positions[1]), (1, 1))

    def union(self, other: Field) -> Field | None:
        rows, columns = self.rows.union(other.rows), self.columns.union(other.columns)
        return Field(rows, columns, self.folded and other.folded) if rows and columns else None


PIXEL = Field(Axis(0, 0, 1), Axis(0, 0, 1))


@dataclass(frozen=True)
class Window:
    """A kernel that slides over a map: (rows, columns) each."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    ceil_mode: bool

    def left_over(self, size: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns, the padding's included, that the last step does not reach: what the floor in
        (N - F + 2P) / S + 1 drops."""
        if self.ceil_mode:
            return 0, 0
        each = zip(size, self.kernel, self.padding, self.dilation, self.stride, strict=True)
        rows, columns = ((n + 2 * p - d * (k - 1) - 1) % s for n, k, p, d, s in each)
        return rows, columns


def bound(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """An operation's arguments by name, defaults included."""
    named = zip(func._schema.arguments, args, strict=False)
    values = {each.name: each.default_value for each in func._schema.arguments if each.has_default_value()}
    return values | {each.name: value for each, value in named} | dict(kwargs)


def window_of(func: Any, values: Mapping[str, Any]) -> Window | None:
    """The window that the operation slides over a map of rows and columns, if it is such an operation."""
    name = func.overloadpacket.__name__
    if name == "convolution":
        shape: Any = list(values["weight"].shape[2:])
        sliding = not values["transposed"] and len(shape) == 2
    else:
        shape = values.get("kernel_size")
        sliding = name in ("max_pool2d_with_indices", "avg_pool2d", "avg_pool3d")
    if not sliding:
        return None
    return Window(
        kernel=_pair(shape),
        stride=_pair(values["stride"] or shape),  # a pooling's default
        padding=_pair(values["padding"]),
        dilation=_pair(values.get("dilation", 1)),
        ceil_mode=bool(values.get("ceil_mode")),
    )


def _pair(value: Any) -> tuple[int, int]:
    """(rows, columns) of a torch argument: one number for both, or the last two of several."""
    if not isinstance(value, (list, tuple)):
        return value, value
    return (value[0], value[0]) if len(value) == 1 else (value[-2], value[-1])
