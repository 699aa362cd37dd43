"""Activations with another way back: guided backpropagation and deconvolution.

The functions are exchanged where torch calls them, and not by hooks on modules: networks call ReLU as a function, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from cnntrain.study.explain.hooks import out_of_place

Way = Literal["guided", "deconvolution"]
RECTIFIERS: Mapping[Any, Callable[..., Tensor]] = {
    **dict.fromkeys((torch.relu, torch.relu_, Tensor.relu, Tensor.relu_, F.relu), torch.relu),
    **{
        each: each
        for each in (
            F.relu6, F.hardtanh, F.leaky_relu, F.prelu, F.rrelu, F.elu, F.selu, F.celu, F.gelu, F.silu, F.mish,
            F.hardswish,
        )
    },
}  # fmt: skip


class _Guided(torch.autograd.Function):
    """The identity, which lets only positive gradients back."""

    @staticmethod
    def forward(context: Any, values: Tensor) -> Tensor:
        return values.clone()

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        return gradient.relu()


class _Rectified(torch.autograd.Function):
    """What was computed forward; back goes the positive gradient, wherever the activation itself was."""

    @staticmethod
    def forward(context: Any, before: Tensor, after: Tensor) -> Tensor:
        return after.clone()

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient.relu(), None


class Rectifying(TorchFunctionMode):
    """Within the block ReLU and its kin have another way back; sigmoid and tanh, which also gate, have their own.

    Attributes:
        met: how many were computed.
    """

    def __init__(self, way: Way):
        super().__init__()
        self.way, self.met = way, 0

    def __torch_function__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        plain = RECTIFIERS.get(func)
        keywords = dict(kwargs or {})
        if plain is None:
            return func(*args, **keywords)
        self.met += 1
        keywords.pop("inplace", None)  # what is overwritten has no way back
        before = args[0] if args else keywords.pop("input")
        after = plain(before, *args[1:], **keywords)
        if self.way == "guided":
            return _Guided.apply(after)
        return _Rectified.apply(before, after.detach())


def exchanged(network: torch.nn.Module, way: Way, compute: Callable[[], Tensor]) -> tuple[Tensor, int]:
    """What `compute` gives with the activations exchanged, and how many were met."""
    with out_of_place(network), Rectifying(way) as mode:
        found = compute()
    return found, mode.met
