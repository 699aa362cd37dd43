"""A network in numbers of 8 bits: the ranges of activations are those that some images have (static quantisation)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cnntrain.export.onnx_file import quiet

PRODUCTS = ("Conv", "Gemm", "MatMul")  # which take the time; what is between them stays in float32
CLIPPED = ("Relu", "Clip")  # so that what a product is quantised to is what passes on of it
UNSIGNED, SIGNED, FLOAT = "QUInt8", "QInt8", 1
CALIBRATED = 256  # inputs


def quantize(path: Path, target: Path, name: str, inputs: Iterable[np.ndarray]) -> None:
    """Write the model in `path` with convolutions and matrix products of 8 bits.

    Weights have 7 of them, each output channel with a scale of its own: CPUs without the VNNI instructions would
    overflow with more, and be wrong without a word.

    Args:
        name: of the model's input.
        inputs: by which activations are calibrated, each as the model takes it, without the dimension of the batch.
    """
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    with quiet():
        quantize_static(
            str(path),
            str(target),
            _Reader(name, iter(inputs)),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=[*PRODUCTS, *CLIPPED],
            nodes_to_exclude=_not_float32(onnx.load(path)),
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType[UNSIGNED],
            weight_type=QuantType[SIGNED],
        )


def spread(count: int, most: int) -> list[int]:
    """The positions of the images to calibrate by, among so many: from the first to the last."""
    places: list[int] = np.linspace(0, count - 1, min(most, count)).astype(int).tolist()
    return places


def _not_float32(model: Any) -> list[str]:
    """Products of the preprocessing, whose numbers are whole and must stay so."""
    kinds = {each.name: each.type.tensor_type.elem_type for each in model.graph.value_info}
    return [
        node.name for node in model.graph.node if node.op_type in PRODUCTS and kinds.get(node.output[0], FLOAT) != FLOAT
    ]


class _Reader:
    """As onnxruntime takes the inputs to calibrate by: one at a time, since their sizes differ."""

    def __init__(self, name: str, inputs: Iterator[np.ndarray]):
        self._name = name
        self._inputs = inputs

    def get_next(self) -> dict[str, np.ndarray] | None:
        each = next(self._inputs, None)
        return None if each is None else {self._name: each[None]}
