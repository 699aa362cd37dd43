"""``cnntrain conv``: the arithmetic of one convolution. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Interval

from cnntrain.config.schema import Command, Ended
from cnntrain.core import plain_json, tables
from cnntrain.core.errors import InputError
from cnntrain.core.limits import Count
from cnntrain.core.words import tell
from cnntrain.study.anatomy.convolution import Convolution

Side = Annotated[int, Interval(ge=1, le=1_000_000)]


@dataclass(frozen=True)
class Conv(Command):
    words: ClassVar[tuple[str, ...]] = ("size", "kernel", "stride", "padding", "inputs", "outputs")

    size: Side
    kernel: Side
    stride: Count
    padding: Annotated[int, Interval(ge=0, le=1_000_000)]
    inputs: Count | None
    outputs: Count | None
    dilation: Count
    bias: bool
    format: Literal["table", "markdown", "json"]

    def __post_init__(self) -> None:
        if (self.inputs is None) != (self.outputs is None):
            raise ValueError("give both of inputs=<channels> and outputs=<channels>, or neither")

    def execute(self, typed: Sequence[str]) -> Ended:
        """Raises InputError where the kernel is larger than the padded image."""
        found = Convolution(self.size, self.kernel, self.stride, self.padding, self.dilation)
        if not found.output:
            raise InputError(
                f"a kernel of {found.reach} pixels does not fit once into {self.size} + 2 x {self.padding}: "
                f"padding={(found.reach - self.size + 1) // 2} is the least"
            )
        if self.format == "json":
            print(plain_json.text(self._facts(found), indent=2))
            return Ended()
        for each in self._lines(found):
            tell(each)
        if self.inputs is not None:
            draw = tables.table if self.format == "table" else tables.markdown
            columns = ["", "parameters", "multiply-adds", "of the full one's"]
            print(
                draw(f"from {self.inputs} to {self.outputs} channels", columns, self._rows(found), columns[:1]), end=""
            )
        return Ended()

    def _lines(self, found: Convolution) -> list[str]:
        fits = found.exact.denominator == 1
        exact = f"{found.output}" if fits else f"{float(found.exact):.6g}, which is rounded down: {found.output}"
        dilated = f", of which the kernel reaches over {found.reach}" if self.dilation > 1 else ""
        lines = [
            f"output: ({self.size} - {found.reach} + 2 x {self.padding}) / {self.stride} + 1 = {exact}{dilated}",
            "it fits: the last step ends with the image"
            if fits
            else f"it does not fit: {found.left_over} of "
            f"{self.size + 2 * self.padding} rows and columns, padding included, are left over{self._advice(found)}",
        ]
        if found.unseen:
            lines.append(
                f"{found.unseen:,} of {self.size**2:,} pixels are never seen ({found.unseen / self.size**2:.1%})"
            )
        return lines

    def _advice(self, found: Convolution) -> str:
        fitting = found.fitting(found.reach // 2)
        return f"; it fits with padding={' or '.join(map(str, fitting))}" if fitting else ""

    def _rows(self, found: Convolution) -> list[list[str]]:
        facts = self._facts(found)
        whole = facts["full"]["macs"]
        return [
            [name, f"{each['params']:,}", f"{each['macs']:,}", f"{each['macs'] / whole:.1%}"]
            for name in ("full", "separable")
            for each in [facts[name]]
        ]

    def _facts(self, found: Convolution) -> dict[str, Any]:
        facts: dict[str, Any] = {
            "output": found.output,
            "exact": float(found.exact),
            "fits": found.exact.denominator == 1,
            "left_over": found.left_over,
            "unseen_pixels": found.unseen,
        }
        if self.inputs is not None and self.outputs is not None:
            channels = self.inputs, self.outputs
            facts["full"] = {"params": found.params(*channels, self.bias), "macs": found.macs(*channels)}
            separable = found.separable_params(*channels, self.bias)
            facts["separable"] = {"params": separable, "macs": found.separable_macs(*channels)}
        return facts
