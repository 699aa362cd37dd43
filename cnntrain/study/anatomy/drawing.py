"""Drawings of a network from its layers: Graphviz's language, a picture by its program, TensorBoard's graph."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections import Counter
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

import torch
from torch import nn

from cnntrain.core import plain_json
from cnntrain.core.errors import InputError, RunError, first_line
from cnntrain.core.words import tell
from cnntrain.study.anatomy.recorder import Layer

# the fill of a box whose first layer has this in its type
COLOURS = {
    "Conv": "#cfe2f3",
    "Linear": "#d9ead3",
    "Pool": "#f4cccc",
    "Norm": "#eeeeee",
    "add": "#fff2cc",
    "cat": "#fff2cc",
}


def dot(title: str, image: tuple[int, ...], rows: Sequence[Layer]) -> str:
    """The network in Graphviz's language: a box for every layer together with the norms, activations and dropout that
    follow it alone, an arrow from each box that it reads. Frozen is dashed.

    What a concatenation has in common with an earlier one is one arrow from there, as if it were built up step by step.
    """
    inputs = stepwise(rows)
    boxes = joined(rows, inputs)
    place = {number: index for index, box in enumerate(boxes) for number in box}
    frozen = any(row.params and not row.trained for row in rows)
    caption = _quoted(title + (" (dashed: frozen)" if frozen else ""))
    lines = [
        f"digraph {_quoted(title)} {{",
        f"  graph [label={caption}, labelloc=t, fontname=Helvetica, fontsize=12, ranksep=0.3];",
        "  node [shape=box, style=filled, fillcolor=white, fontname=Helvetica, fontsize=10];",
        f"  n_1 [label={_quoted('input', _shape(image))}];",
    ]
    for index, box in enumerate(boxes):
        lines.append(f"  n{index} [{_box([rows[number] for number in box])}];")
        lines += [f"  {f'n{place[each]}' if each >= 0 else 'n_1'} -> n{index};" for each in inputs[box[0]]]
    return "\n".join([*lines, "}"]) + "\n"


def stepwise(rows: Sequence[Layer]) -> list[tuple[int, ...]]:
    """What each row reads, where a concatenation reads the last earlier one of which it has all the inputs, and the
    inputs that are its own: a DenseNet's arrows then grow with its depth, not with the square of it."""
    found, earlier = [], dict[int, set[int]]()
    for number, row in enumerate(rows):
        reads = set(row.inputs)
        if row.kind == "cat":
            base = next((each for each in reversed(earlier) if earlier[each] < reads), None)
            earlier[number] = set(row.inputs)
            reads = reads if base is None else reads - earlier[base] | {base}
        found.append(tuple(sorted(reads)))
    return found


def joined(rows: Sequence[Layer], inputs: Sequence[tuple[int, ...]]) -> list[list[int]]:
    """The numbers of the rows box by box. A row joins the one before it if it reads nothing else and nobody else does,
    unless it is a layer in its own right: one with a window or a matrix, or a pooling."""
    readers = Counter(each for reads in inputs for each in reads)
    boxes: list[list[int]] = []
    ends: dict[int, list[int]] = {}  # a box by its last row
    for number, (row, reads) in enumerate(zip(rows, inputs, strict=True)):
        alone = len(reads) == 1 and readers[reads[0]] == 1 and reads[0] in ends
        if alone and not (row.weighted or row.window or "Pool" in row.kind):
            box = ends.pop(reads[0])
            box.append(number)
        else:
            box = [number]
            boxes.append(box)
        ends[number] = box
    return boxes


def _box(rows: Sequence[Layer]) -> str:
    """The attributes of the box of `rows`: the name of the first, every type, the shape wherever it changes."""
    params, trained = sum(row.params for row in rows), sum(row.trained for row in rows)
    state = ", frozen" if not trained else ", partly frozen" if trained < params else ""
    lines = [rows[0].name]
    for row, following in zip_longest(rows, rows[1:]):
        lines.append(row.kind + (f" {_shape(row.window.kernel)}/{_stride(row.window.stride)}" if row.window else ""))
        if following is None or following.shape != row.shape:
            lines.append(_shape(row.shape))
    label = _quoted(*lines, *([f"{params:,} parameters{state}"] if params else []))
    colour = next((colour for part, colour in COLOURS.items() if part in rows[0].kind), "white")
    style = '"filled,dashed"' if params and not trained else "filled"
    return f'label={label}, fillcolor="{colour}", style={style}'


def png(text: str) -> bytes:
    """The picture of a graph in Graphviz's language.

    Raises:
        RunError: Graphviz's program dot, which is installed, fails.
    """
    drawn = subprocess.run(["dot", "-Tpng"], input=text.encode(), capture_output=True, check=False)
    if drawn.returncode or not drawn.stdout:
        raise RunError(f"dot failed: {drawn.stderr.decode(errors='replace').strip() or drawn.returncode}")
    if drawn.stderr:  # such as that it made the picture smaller, for a PNG has at most 32767 pixels a side
        said = drawn.stderr.decode(errors="replace").strip()
        tell(f"note: {said}; format=dot and Graphviz's dot -Tsvg have no limit", sys.stderr)
    return drawn.stdout


def tensorboard(model: nn.Module, image: tuple[int, ...], folder: Path) -> None:
    """Write the network's graph for TensorBoard's tab Graphs. The model gets zeros for weights, and runs once.

    Raises:
        InputError: the model cannot be traced, or the folder cannot be written.
    """
    from torch.utils.tensorboard import SummaryWriter

    model.to_empty(device="cpu").eval()  # tracing needs sizes that the meta device does not give
    for each in [*model.parameters(), *model.buffers()]:
        each.requires_grad_(False).zero_()
    try:
        with warnings.catch_warnings(), SummaryWriter(str(folder)) as writer:
            warnings.simplefilter("ignore")  # of the tracer, about code that depends on sizes
            example = torch.zeros(1, *image)
            writer.add_graph(torch.jit.trace(model, example, check_trace=False), example)  # its own runs thrice
    except (RuntimeError, TypeError) as error:
        raise InputError(f"tensorboard: {type(model).__name__} cannot be traced: {first_line(error)}") from error
    except OSError as error:
        raise InputError(f"tensorboard={folder}: {error.strerror}") from error


def _stride(sides: Sequence[int]) -> str:
    """Once where it is the same along all sides."""
    return str(sides[0]) if len({*sides}) == 1 else _shape(sides)


def _shape(sizes: Sequence[int]) -> str:
    return "x".join(map(str, sizes))


def _quoted(*lines: str) -> str:
    return plain_json.text("\n".join(lines))
