"""``cnntrain summary``: a network layer by layer, on the meta device: no data, no weights, no training."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from cnntrain.config.model import Model
from cnntrain.config.schema import Command, Ended
from cnntrain.core import plain_json, tables
from cnntrain.core.errors import InputError
from cnntrain.core.files import write_atomic
from cnntrain.core.limits import Count, Place
from cnntrain.core.units import in_bytes
from cnntrain.core.words import CELL, printable
from cnntrain.data.base import Data
from cnntrain.transfer.base import Transfer

if TYPE_CHECKING:
    from cnntrain.study.anatomy.network import Network
    from cnntrain.study.anatomy.recorder import Layer

COLUMNS = ("layer", "type", "output", "kernel", "map", "params", "", "MACs", "memory", "field", "jump")
LEFT = ("layer", "type", "output", "kernel", "")


@dataclass(frozen=True)
class Summary(Command):
    """No data is read: `data` gives the images' shape and the number of classes."""

    model: Model
    data: Data | None  # None: the model's own image size and classes
    transfer: Transfer
    classes: Count | None
    batch_size: Count | None
    format: Literal["table", "markdown", "json", "dot", "png"]
    output: Place | None
    tensorboard: Place | None

    def __post_init__(self) -> None:
        if self.format == "png" and self.output is None:
            raise ValueError("format=png needs output=<file>")

    def settled(self) -> Self:
        return replace(self, model=self.model.settled(self.transfer))  # decides on the stem, as in training

    def execute(self, typed: Sequence[str]) -> Ended:
        """Show the network, in the format and at the place that are asked for."""
        path = self._place()
        from cnntrain.study.anatomy import drawing
        from cnntrain.study.anatomy.network import Network

        network = Network(self.model, self.data, self.transfer, self.classes, self.batch_size)
        title = f"{self.model.name} {_times(network.image)}, {network.classes} classes, transfer={self.transfer.name}"
        if self.format == "json":
            text = plain_json.text(network.facts(), indent=2) + "\n"
        elif self.format in ("dot", "png"):
            text = drawing.dot(title, network.image, network.rows)
        else:
            draw = tables.table if self.format == "table" else tables.markdown
            text = draw(title, COLUMNS, [_cells(row) for row in network.rows], LEFT) + _footer(network, self.format)
        content = drawing.png(text) if self.format == "png" else text.encode()
        if self.tensorboard is not None:
            drawing.tensorboard(network.model, network.image, Path(self.tensorboard))
        if path is None:
            print(text, end="", flush=True)
            return Ended()
        write_atomic(path, content)
        return Ended(made=str(path))

    def _place(self) -> Path | None:
        """The file that is asked for; what is in its way is said before the network is made.

        Raises:
            InputError: it has no folder, or what draws it is not installed.
        """
        if self.format == "png" and shutil.which("dot") is None:
            raise InputError(
                "format=png needs Graphviz's program dot: apt install graphviz (or brew, conda); format=dot writes the "
                "graph without it"
            )
        path = None if self.output is None else Path(self.output)
        if path is not None and not path.parent.is_dir():
            raise InputError(f"output={path}: there is no folder {path.parent}")
        return path


def _cells(row: Layer) -> list[str]:
    state = "" if not row.params else "trained" if row.trained == row.params else "partly" if row.trained else "frozen"
    field, positions = row.field, row.shape[1:]
    return [
        row.name,
        row.kind,
        _times(row.shape),
        _kernel(row),
        _times(row.size) if row.window else "",
        f"{row.params:,}" if row.params else "",
        state,
        f"{row.macs:,}" if row.macs else "",
        f"{row.values:,}",
        _each(axis.size for axis in field.axes) if field else "unknown",
        _each(axis.jump for axis in field.axes) if field and any(each > 1 for each in positions) else "",
    ]


def _kernel(row: Layer) -> str:
    """Such as ``3x3/2 p1``: kernel, stride, padding."""
    if row.window is None:
        return ""
    stride, padding = _each(row.window.stride), _each(row.window.padding)
    return f"{_times(row.window.kernel)}/{stride}" + (f" p{padding}" if padding != "0" else "")


def _footer(network: Network, layout: str) -> str:
    """Totals and warnings; in markdown as a list."""
    from cnntrain.study.anatomy.network import FLOAT_BYTES

    memory, size = network.memory, in_bytes
    unused = network.params - sum(row.params for row in network.rows)
    lines = [
        f"parameters: {network.params:,} ({size(network.params * FLOAT_BYTES)})",
        f"trainable: {network.trained:,}; non-trainable: {network.params - network.trained:,}",
        *([f"auxiliary heads, in training only: {network.auxiliary:,} parameters more"] if network.auxiliary else []),
        *([f"parameters of none of these layers: {unused:,}"] if unused else []),
        f"multiply-adds: {network.macs:,}; depth: {network.depth}",
        f"activations of one image, forward: {network.values:,} values ({size(network.values * FLOAT_BYTES)})",
        f"training memory, batch {network.batch} in float32 with momentum, about {size(memory.total)}: weights "
        f"{size(memory.weights)}, gradients {size(memory.gradients)}, momentum {size(memory.momentum)}, activations "
        f"{size(memory.activations)}",
    ]
    by_reason: dict[str, list[str]] = {}
    for name, reason in network.warnings.items():
        by_reason.setdefault(reason, []).append(name)
    lines += [f"warning: {_listed(names)}: {reason}" for reason, names in by_reason.items()]
    bullet = "- " if layout == "markdown" else ""
    return "\n" + "".join(f"{bullet}{line}\n" for line in lines)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(printable(name, CELL) for name in names[:3]) + more


def _times(sizes: Sequence[float]) -> str:
    return "x".join(f"{each:g}" for each in sizes)


def _each(sides: Iterable[float]) -> str:
    """A number for each side, once where they are equal."""
    numbers = list(sides)
    return f"{numbers[0]:g}" if len({*numbers}) == 1 else _times(numbers)
