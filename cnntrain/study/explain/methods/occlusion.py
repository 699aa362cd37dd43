"""Occlusion (Zeiler and Fergus 2013, arXiv:1311.2901)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnntrain.core.limits import Count
from cnntrain.study.explain.base import Attribution, Maps

if TYPE_CHECKING:
    from torch import Tensor

    from cnntrain.study.explain.subject import Subject


@dataclass(frozen=True)
class Occlusion(Attribution):
    """By how much the class's logit falls when a window is painted in the mean colour; of each pixel the mean over the
    windows that hide it."""

    window: Count | None  # pixels a side, and of a volume's frames the same share; None: a sixth
    stride: Count | None  # pixels, and of frames the same share; None: half a window

    def __post_init__(self) -> None:
        if self.window is not None and self.stride is not None and self.stride > self.window:
            raise ValueError(
                f"stride={self.stride} is above window={self.window}: pixels between would never be hidden"
            )

    def maps(self, subject: Subject, inputs: Tensor, targets: Tensor) -> Maps:
        """Raises InputError where the window is larger than what the network sees."""
        from cnntrain.study.explain import hiding

        size = inputs.shape[2:]
        window = self.window or max(1, round(size[-1] / 6))
        stride = min(self.stride or max(1, window // 2), window)
        windows, strides = hiding.along(size, window), hiding.along(size, stride)
        values = hiding.falls(subject, inputs, targets, windows, strides)
        used = {"window": windows, "stride": strides} if len(size) > 2 else {"window": window, "stride": stride}
        return Maps(values, [used] * len(inputs))
