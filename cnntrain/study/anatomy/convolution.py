"""The arithmetic of one convolution on a square image. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from cnntrain.study.anatomy.receptive_field import Window


@dataclass(frozen=True)
class Convolution:
    """A kernel that slides over an image; all in pixels a side.

    Attributes:
        padding: on each side.
        dilation: pixels from one of the kernel's to the next.
    """

    size: int
    kernel: int
    stride: int
    padding: int
    dilation: int = 1

    @property
    def reach(self) -> int:
        """Of the dilated kernel."""
        return self.dilation * (self.kernel - 1) + 1

    @property
    def exact(self) -> Fraction:
        """(N - F + 2P) / S + 1, a whole number where the kernel fits."""
        return Fraction(self.size - self.reach + 2 * self.padding, self.stride) + 1

    @cached_property
    def output(self) -> int:
        """That rounded down, as all libraries do; 0 where the kernel is larger than the padded image."""
        return max(0, self.exact.__floor__())

    @property
    def left_over(self) -> int:
        """Rows of the padded image that the last step does not reach."""
        if not self.output:
            return self.size + 2 * self.padding
        kernel, stride, padding, dilation = (
            (each, each) for each in (self.kernel, self.stride, self.padding, self.dilation)
        )
        return Window(kernel, stride, padding, dilation, ceil_mode=False).left_over((self.size, self.size))[0]

    @cached_property
    def unseen(self) -> int:
        """Pixels of the image, without padding, that no position sees: those left over, and those between the positions
        where the stride is larger than the kernel."""
        seen = bytearray(self.size + 2 * self.padding)
        for tap in range(self.kernel if self.output else 0):
            first = tap * self.dilation
            seen[first : first + (self.output - 1) * self.stride + 1 : self.stride] = b"\1" * self.output
        rows = sum(seen[self.padding : self.padding + self.size])
        return self.size**2 - rows**2

    def fitting(self, most: int) -> list[int]:
        """Paddings up to `most` with which it fits."""
        each = (Convolution(self.size, self.kernel, self.stride, padding, self.dilation) for padding in range(most + 1))
        return [found.padding for found in each if found.output and found.exact.denominator == 1]

    def params(self, inputs: int, outputs: int, bias: bool = True) -> int:
        """Of a full convolution from so many channels to so many."""
        return self.kernel**2 * inputs * outputs + bias * outputs

    def macs(self, inputs: int, outputs: int) -> int:
        """Its multiply-adds for one image."""
        return self.output**2 * self.params(inputs, outputs, bias=False)

    def separable_params(self, inputs: int, outputs: int, bias: bool = True) -> int:
        """Of one kernel a channel, and a 1x1 convolution after it."""
        return self.kernel**2 * inputs + inputs * outputs + bias * (inputs + outputs)

    def separable_macs(self, inputs: int, outputs: int) -> int:
        return self.output**2 * self.separable_params(inputs, outputs, bias=False)
