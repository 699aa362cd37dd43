"""What each of torch's operations does to a receptive field. What has no rule makes it unknown, never a guess."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from cnntrain.study.anatomy.receptive_field import Axis, Field, Window, window_of


@dataclass(frozen=True)
class Call:
    """One operation on a map: arguments by name, its first tensor that has a field, the fields of all that have one."""

    func: Any
    values: Mapping[str, Any]
    source: Tensor
    fields: Sequence[Field]
    out: Tensor

    @property
    def field(self) -> Field:
        return self.fields[0]

    @property
    def name(self) -> str:
        return self.func.overloadpacket.__name__

    def spatial(self, dim: int) -> bool:
        """Whether `dim` counts the positions of a side."""
        return self.field.folded is None and dim % self.source.ndim >= self.source.ndim - self.sides

    @property
    def sides(self) -> int:
        return len(self.field.axes)

    def axis(self, dim: int) -> int:
        """Which of the sides a `dim` is that counts their positions."""
        return dim % self.source.ndim - (self.source.ndim - self.sides)


def output_field(call: Call) -> Field | None:
    """The receptive field of what an operation returns; None for an operation that no rule here describes."""
    window = window_of(call.func, call.values)
    if window is not None:
        return _windowed(call.field, window) if call.field.folded is None else None
    if torch.Tag.pointwise in call.func.tags or call.name in SAME:
        return _together(call)
    rule = RULES.get(call.name)
    return rule(call) if rule else None


def _windowed(field: Field, window: Window) -> Field | None:
    if len(window.kernel) < len(field.axes):
        return None
    own = window.last(len(field.axes))
    each = zip(field.axes, own.kernel, own.stride, own.padding, own.dilation, strict=True)
    return Field(tuple(axis.window(*numbers) for axis, *numbers in each))


def _with(field: Field, place: int, axis: Axis) -> Field:
    """With another axis at a place."""
    return replace(field, axes=(*field.axes[:place], axis, *field.axes[place + 1 :]))


def _together(call: Call) -> Field | None:
    """Position by position, over all maps that come in."""
    if len(call.fields) == 1:
        return call.field
    parts = [each.collapse(each.folded) if each.folded else each for each in call.fields]
    result: Field | None = parts[0]
    for each in parts[1:]:
        result = result and result.union(each)
    return result


def _adaptive(call: Call) -> Field | None:
    """Output position i of M sees positions floor(i * N / M) to ceil((i + 1) * N / M) of N; unknown where these are
    not equally wide and equally far apart."""
    if call.field.folded is not None:
        return None
    axes: list[Axis] = []
    own, sizes, counts = call.field.axes, call.source.shape[-call.sides :], call.out.shape[-call.sides :]
    for axis, size, count in zip(own, sizes, counts, strict=True):
        starts = [i * size // count for i in range(count)]
        widths = {-(-(i + 1) * size // count) - start for i, start in enumerate(starts)}
        steps = {after - before for before, after in pairwise(starts)}
        if len(widths) > 1 or len(steps) > 1:
            return None
        axes.append(axis.window(widths.pop(), steps.pop(), 0, 1) if steps else axis.collapse(size))
    return Field(tuple(axes))


def _reduce(call: Call) -> Field | None:
    """Mean, sum or maximum over some dimensions."""
    dims = call.values.get("dim")
    dims = range(call.source.ndim) if dims is None or dims == [] else [dims] if isinstance(dims, int) else dims
    if call.field.folded is not None:
        return call.field.collapse(call.field.folded)
    spatial = [each for each in dims if call.spatial(each)]
    if not spatial:
        return call.field
    kept = call.out.ndim == call.source.ndim
    if len(spatial) < call.sides:
        return _partly(call, spatial) if kept else None
    whole = call.field.collapse(call.source.shape[-call.sides :])
    return replace(whole, folded=None) if kept else whole


def _partly(call: Call, dims: Sequence[int]) -> Field:
    """Over some of the sides, which stay as sides of one position."""
    field = call.field
    for each in dims:
        field = _with(field, call.axis(each), field.axes[call.axis(each)].collapse(call.source.shape[each]))
    return field


def _multiply(call: Call) -> Field | None:
    """A matrix product sums over the features, and over all positions that lie in them."""
    if len(call.fields) > 1 or call.field.folded is None:
        return None
    return call.field.collapse(call.field.folded)


def _reshape(call: Call) -> Field | None:
    """A map that stays one, as when channels are shuffled; or one whose sides become features, or back."""
    before, after, folded, sides = call.source.shape, call.out.shape, call.field.folded, call.sides
    if folded is None:
        kept = len(after) >= sides + 2 and before[-sides:] == after[-sides:]
        return call.field if kept else replace(call.field, folded=tuple(before[-sides:]))
    if len(after) < sides + 2:
        return call.field
    alone = (1,) * sides
    return replace(call.field, folded=None) if folded == alone and after[-sides:] == alone else None


def _permute(call: Call) -> Field | None:
    ndim = call.source.ndim
    if call.field.folded:
        return call.field
    order = list(range(ndim))
    if "dims" in call.values:
        order = [each % ndim for each in call.values["dims"]]
    else:
        first, second = call.values["dim0"] % ndim, call.values["dim1"] % ndim
        order[first], order[second] = second, first
    return call.field if order[-call.sides :] == list(range(ndim - call.sides, ndim)) else None


def _slice(call: Call) -> Field | None:
    dim, start, step = (call.values[name] for name in ("dim", "start", "step"))
    if not call.spatial(dim):
        return call.field
    first, size = start or 0, call.source.shape[dim]
    first = max(first + size, 0) if first < 0 else min(first, size)
    axis = call.field.axes[call.axis(dim)].shift(first)
    return _with(call.field, call.axis(dim), replace(axis, jump=axis.jump * step))


def _pad(call: Call) -> Field | None:
    before = call.values.get("pad", call.values.get("padding"))[::2]  # from the last side on
    field = call.field
    for number, count in enumerate(before[: call.sides] if field.folded is None else (), 1):
        field = _with(field, call.sides - number, field.axes[-number].shift(-count))
    return field


def _enlarged(call: Call) -> Field | None:
    """Neighbours see fields that are not equally far apart, unless all of them see the same."""
    return call.field if call.field.is_whole and call.field.folded is None else None


def _along(call: Call) -> Field | None:
    """What works along one dimension: joining, splitting, choosing, a softmax."""
    return None if call.spatial(call.values["dim"]) else _together(call)


SAME = {
    *("native_batch_norm", "cudnn_batch_norm", "_native_batch_norm_legit_no_training"),
    *("native_group_norm", "native_layer_norm", "native_dropout", "channel_shuffle", "native_channel_shuffle"),
    *("clone", "detach", "alias", "_to_copy", "_prelu_kernel", "expand", "hardswish"),
}
ADAPTIVE = (
    *("_adaptive_avg_pool2d", "adaptive_avg_pool2d", "adaptive_max_pool2d"),
    *("_adaptive_avg_pool3d", "adaptive_avg_pool3d", "adaptive_max_pool3d"),
)
RULES: dict[str, Callable[[Call], Field | None]] = {
    **dict.fromkeys(ADAPTIVE, _adaptive),
    **dict.fromkeys(("mean", "sum", "amax", "max"), _reduce),
    **dict.fromkeys(("addmm", "mm", "bmm"), _multiply),
    **dict.fromkeys(("view", "_unsafe_view", "_reshape_alias", "squeeze", "unsqueeze"), _reshape),
    **dict.fromkeys(("permute", "transpose", "t"), _permute),
    **dict.fromkeys(
        ("constant_pad_nd", "reflection_pad1d", "reflection_pad2d", "replication_pad1d", "replication_pad2d"), _pad
    ),
    **dict.fromkeys(("cat", "split", "split_with_sizes", "unbind", "select", "index_select", "_softmax"), _along),
    **dict.fromkeys(("convolution", "upsample_bilinear2d", "upsample_nearest2d"), _enlarged),  # a transposed one
    "slice": _slice,
}
