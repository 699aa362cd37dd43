"""Architectures as plain values, and whether such values are one. Nothing here imports torch.

A genotype is a dict with ``space``, which says what else is in it:

- chain: ``layers``, a list of dicts with ``height``, ``width`` and ``stride`` of a filter, ``filters`` and ``inputs``,
  the numbers of earlier layers, from 0; none: the image.
- cell: ``normal`` and ``reduction``, lists of blocks ``[first, operation, second, operation]``, where 0 is the last map
  but one, 1 the last map, and 2 + k the k-th block of the cell; ``repeats`` of normal cells in a stage; ``filters``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

from cnntrain.core import plain_json
from cnntrain.core.shapes import unlike

OPERATIONS = (
    "identity", "conv1", "conv3", "conv1x3_3x1", "conv1x7_7x1", "dil3", "sep3", "sep5", "sep7", "avg3", "max3", "max5",
    "max7",
)  # fmt: skip


class Layer(TypedDict):
    height: int
    width: int
    filters: int
    stride: int
    inputs: list[int]


class Chain(TypedDict):
    space: str
    layers: list[Layer]


class Cells(TypedDict):
    space: str
    normal: list[list[Any]]
    reduction: list[list[Any]]
    repeats: int
    filters: int


def read(path: Path) -> dict[str, Any]:
    """The genotype in a file.

    Raises:
        ValueError: it cannot be read, or is none.
    """
    try:
        found = plain_json.read(path.read_bytes(), dict[str, Any])
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"{path} is no genotype: {error}") from error
    require(found, str(path))
    return found


def require(genotype: Mapping[str, Any], name: str) -> None:
    """Raises ValueError where a value is no genotype; `name` says what it is."""
    problems = {"chain": _of_chain, "cell": _of_cells}
    space = genotype.get("space")
    if space not in problems:
        raise ValueError(f"{name} is no genotype: its space is {space!r}, not one of {', '.join(problems)}")
    if problem := problems[space](genotype):
        raise ValueError(f"{name} is no genotype: {problem}")


def _of_chain(genotype: Mapping[str, Any]) -> str | None:
    if problem := unlike(genotype, Chain):
        return problem
    if not genotype["layers"]:
        return "it has no layers"
    for number, layer in enumerate(genotype["layers"]):
        if min(layer[key] for key in ("height", "width", "filters", "stride")) < 1:
            return f"layer {number} has a size below 1"
        if layer["height"] % 2 == 0 or layer["width"] % 2 == 0:
            return f"the filter of layer {number} is {layer['height']}x{layer['width']}: sides must be odd"
        inputs = layer["inputs"]
        if sorted(set(inputs)) != inputs or any(not 0 <= each < number for each in inputs):
            return f"the inputs of layer {number} must be earlier layers in order, not {inputs}"
    return None


def _of_cells(genotype: Mapping[str, Any]) -> str | None:
    if problem := unlike(genotype, Cells):
        return problem
    if genotype["repeats"] < 1 or genotype["filters"] < 1:
        return "repeats and filters must be at least 1"
    for name in ("normal", "reduction"):
        if not genotype[name]:
            return f"the {name} cell has no blocks"
        for number, block in enumerate(genotype[name]):
            inputs, operations = block[::2], block[1::2]
            if len(block) != 4 or any(each not in OPERATIONS for each in operations):
                return f"block {number} of the {name} cell must be [input, operation, input, operation], not {block}"
            if any(type(each) is not int or not 0 <= each < 2 + number for each in inputs):
                return f"block {number} of the {name} cell takes what is not before it: {inputs}"
    return None
