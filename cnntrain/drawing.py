"""Drawings of a network from its layers: Graphviz's language, a picture by its program, TensorBoard's graph."""

from __future__ import annotations

import json
import subprocess
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from cnntrain.errors import InputError, RunError
from cnntrain.recorder import Layer

# the fill of a layer whose type has this in its name
COLOURS = {
    "Conv": "#cfe2f3",
    "Linear": "#d9ead3",
    "Pool": "#f4cccc",
    "Norm": "#eeeeee",
    "add": "#fff2cc",
    "cat": "#fff2cc",
}


def dot(title: str, image: tuple[int, ...], rows: Sequence[Layer]) -> str:
    """The network in Graphviz's language: a box a layer, an arrow from each layer that it reads. Frozen is dashed."""
    lines = [
        f"digraph {_quoted(title)} {{",
        '  node [shape=box, style=filled, fillcolor=white, fontname="Helvetica", fontsize=10];',
        f"  n_1 [label={_quoted('input', _shape(image))}];",
    ]
    for number, row in enumerate(rows):
        colour = next((colour for part, colour in COLOURS.items() if part in row.kind), "white")
        window = f" {_shape(row.window.kernel)}/{row.window.stride[0]}" if row.window else ""
        label = _quoted(row.name, row.kind + window, _shape(row.shape))
        style = '"filled,dashed"' if row.params and not row.trained else "filled"
        lines.append(f'  n{number} [label={label}, fillcolor="{colour}", style={style}];')
        lines += [f"  {f'n{each}' if each >= 0 else 'n_1'} -> n{number};" for each in row.inputs]
    return "\n".join([*lines, "}"]) + "\n"


def png(text: str) -> bytes:
    """The picture of a graph in Graphviz's language.

    Raises:
        InputError: Graphviz is not installed.
        RunError: it fails.
    """
    try:
        drawn = subprocess.run(["dot", "-Tpng"], input=text.encode(), capture_output=True, check=False)
    except FileNotFoundError as error:
        raise InputError(
            "format=png needs Graphviz's program dot: apt install graphviz (or brew, conda); format=dot writes the "
            "graph without it"
        ) from error
    if drawn.returncode or not drawn.stdout:
        raise RunError(f"dot failed: {drawn.stderr.decode(errors='replace').strip() or drawn.returncode}")
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
            writer.add_graph(model, torch.zeros(1, *image))
    except (RuntimeError, TypeError) as error:
        raise InputError(
            f"tensorboard: {type(model).__name__} cannot be traced: {str(error).splitlines()[0]}"
        ) from error
    except OSError as error:
        raise InputError(f"tensorboard={folder}: {error.strerror}") from error


def _shape(sizes: Sequence[int]) -> str:
    return "x".join(map(str, sizes))


def _quoted(*lines: str) -> str:
    return json.dumps("\n".join(lines))
