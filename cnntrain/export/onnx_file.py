"""A program as an ONNX file, with everything that its user has to know in its metadata."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram

from cnntrain.core import plain_json
from cnntrain.core.errors import InputError
from cnntrain.core.files import writing

META = "cnntrain"  # key of the metadata
LARGEST = 2**31  # bytes of a file of Protocol Buffers
ADAPTIVE_MAX = torch.ops.aten.adaptive_max_pool2d.default


def write(path: Path, program: ExportedProgram, name: str, sizes: Sequence[str | None], results: Sequence[str]) -> None:
    """Write a program of one input.

    Args:
        name: the input's.
        sizes: those of its first dimensions, which may be any number but for None.
        results: the names of what it gives.

    Raises:
        RunError: the disk is full or cannot be written.
        InputError: it has more than 2 GiB of weights.
    """
    if sum(each.nbytes for each in program.state_dict.values()) >= LARGEST:
        raise InputError("an ONNX file holds no more than 2 GiB of weights: export with format=torch or safetensors")
    with quiet():
        if any(node.target is ADAPTIVE_MAX for node in program.graph.nodes):
            program = program.run_decompositions({ADAPTIVE_MAX: maxima_of_bins})
        found = torch.onnx.export(
            program,
            dynamo=True,
            input_names=[name],
            output_names=[*results],
            dynamic_shapes=({number: each for number, each in enumerate(sizes) if each is not None},),
            verbose=False,
        )
    assert found is not None, "it was asked for a program, not for a file"
    with writing(path):
        found.save(path)


def maxima_of_bins(maps: Tensor, bins: Sequence[int]) -> tuple[Tensor, Tensor]:
    """What torch's adaptive max pooling gives, which ONNX lacks, by cuts: the maxima over a grid of bins of which each
    begins at the floor of its share of the map and ends at the ceiling, and their places in the map.

    Args:
        maps: [batch, channels, height, width], of a height and width that are known.
        bins: rows and columns of the grid.

    Returns:
        Maxima and places, int64, [batch, channels, rows, columns] each.
    """
    height, width = maps.shape[-2:]
    maxima, places = [], []
    for top, bottom in _cuts(height, bins[0]):
        for left, right in _cuts(width, bins[1]):
            value, place = maps[..., top:bottom, left:right].flatten(-2).max(-1)
            maxima.append(value)
            places.append((place // (right - left) + top) * width + place % (right - left) + left)
    grid = (*maps.shape[:-2], *bins)
    return torch.stack(maxima, -1).reshape(grid), torch.stack(places, -1).reshape(grid)


def _cuts(size: int, bins: int) -> list[tuple[int, int]]:
    return [(number * size // bins, -(-(number + 1) * size // bins)) for number in range(bins)]


def mark(path: Path, meta: Mapping[str, Any]) -> None:
    """Put what is to be known into the file: all of it as JSON, and the classes by themselves, for other programs. What
    the exporter noted of the source of each operation goes."""
    import onnx

    model = onnx.load(path)
    for each in _operations(model.graph):
        del each.metadata_props[:]
        each.doc_string = ""
    facts = {META: plain_json.text(meta), "classes": plain_json.text(meta["classes"])}
    onnx.helper.set_model_props(model, facts)
    model.producer_name, model.producer_version = "cnntrain", meta["versions"]["cnntrain"]
    with writing(path):
        onnx.save(model, path)


def _operations(graph: Any) -> Iterator[Any]:
    """With those of branches."""
    for node in graph.node:
        yield node
        for each in node.attribute:
            yield from _operations(each.g)


@contextmanager
def quiet() -> Iterator[None]:
    """Within the block the exporters' remarks on their own workings are not shown."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
