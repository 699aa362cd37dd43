"""A program as an ONNX file, with everything that its user has to know in its metadata."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from cnntrain.core import plain_json
from cnntrain.core.errors import InputError
from cnntrain.core.files import writing
from cnntrain.export.program import SIZES

IMAGES, LOGITS, PROBABILITIES = "images", "logits", "probabilities"
META = "cnntrain"  # key of the metadata
LARGEST = 2**31  # bytes of a file of Protocol Buffers


def write(
    path: Path,
    program: ExportedProgram,
    results: Sequence[str] = (LOGITS, PROBABILITIES),
    sizes: Sequence[str] = SIZES,
) -> None:
    """Write a program of images.

    Args:
        results: the names of what it gives.
        sizes: those of the first dimensions of images, which may be any number.

    Raises:
        RunError: the disk is full or cannot be written.
        InputError: it has more than 2 GiB of weights.
    """
    if sum(each.nbytes for each in program.state_dict.values()) >= LARGEST:
        raise InputError("an ONNX file holds no more than 2 GiB of weights: export with format=torch or safetensors")
    with quiet():
        found = torch.onnx.export(
            program,
            dynamo=True,
            input_names=[IMAGES],
            output_names=[*results],
            dynamic_shapes=(dict(enumerate(sizes)),),
            verbose=False,
        )
    assert found is not None, "it was asked for a program, not for a file"
    with writing(path):
        found.save(path)


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
