"""One network in forms that answer alike: as it is, with BatchNorm folded, in onnxruntime, and there in 8 bits."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from cnntrain.build.judging import Member
from cnntrain.build.trained import Trained
from cnntrain.core.errors import InputError
from cnntrain.core.targets import INSTEAD
from cnntrain.data.sets.dataset import Images, Labelled
from cnntrain.export import abreast, bundle, kinds, onnx_file, parity, program, quantizing
from cnntrain.export.graphs import Graph as GraphOf
from cnntrain.export.inputs import BATCH
from cnntrain.export.parity import Proof
from cnntrain.training.precision import memory_format

EAGER, FOLDED, ONNX, INT8 = "eager", "folded", "onnx", "int8"
SEEN = "seen"  # a graph's input


class Graph(nn.Module):
    """A session of onnxruntime as a network: float32 [batch, *shape of what it sees] to logits."""

    def __init__(self, graph: GraphOf):
        super().__init__()
        self._graph = graph

    def forward(self, seen: Tensor) -> Tensor:
        return torch.from_numpy(self._graph(seen.contiguous().numpy())[0])


@dataclass(frozen=True)
class Variant:
    """A form of the network alone, without its preprocessing.

    Attributes:
        memory_format: of the images that it computes fastest.
        opened: makes it, to compute with as many threads as torch has then.
    """

    name: str
    memory_format: torch.memory_format
    opened: Callable[[], nn.Module]


def variants(found: Trained, val: Labelled | None, folder: Path, in_onnx: bool) -> list[Variant]:
    """The network as it is evaluated first.

    Args:
        found: computes in float32 on the CPU.
        val: calibrates the one of 8 bits, which there is none of without.
        folder: for files, which are opened as long as the variants are used.
        in_onnx: whether there are those of onnxruntime.

    Raises:
        InputError: the run had no validation yet to choose among its settings, or it has too many weights for ONNX, or
            its network gives no logits.
        RunError: the disk is full or cannot be written.
    """
    task = found.config.task
    if not kinds.of(task.target).gives_logits:
        raise InputError(
            f"{found.path}: task={task.name} {INSTEAD[task.target]}, and networks are timed that give logits: "
            "classes, of samples or of pixels"
        )
    network = program.alone(replace(found, network=copy.deepcopy(found.network)))
    exported = program.program_alone(network, found.seen.shape)
    program.fold(exported)
    layout = memory_format(found.config.trainer, found.device)
    own, folded = (each.to(memory_format=layout) for each in (copy.deepcopy(network), _module(exported)))
    made = [Variant(EAGER, layout, lambda: own), Variant(FOLDED, layout, lambda: folded)]
    if not in_onnx:
        return made
    path = folder / "network.onnx"
    onnx_file.write(path, exported, SEEN, (BATCH,), (program.LOGITS,))
    made.append(_in_onnx(ONNX, path))
    if val is not None:
        of_8_bits = folder / "int8.onnx"
        quantizing.quantize(path, of_8_bits, SEEN, _seen(found, val.part.images))
        made.append(_in_onnx(INT8, of_8_bits))
    return made


def _module(exported: ExportedProgram) -> nn.Module:
    """With weights of its own."""
    return copy.deepcopy(exported.module())


def _in_onnx(name: str, path: Path) -> Variant:
    def opened() -> nn.Module:
        return Graph(bundle.graph_of(bundle.session(path), 1))

    return Variant(name, torch.contiguous_format, opened)


def _seen(found: Trained, images: Images) -> Iterator[np.ndarray]:
    """Some inputs as the network sees them, float32."""
    for place in quantizing.spread(len(images), quantizing.CALIBRATED):
        fitted, _ = found.seen.fit(images[place], 0)
        yield found.seen(fitted[None], found.device, torch.float32)[0].numpy()


def proofs(found: Trained, val: Labelled, made: list[Variant]) -> dict[str, Proof]:
    """How each answers to the images of val, by the function that training used, beside the first."""
    one = program.chosen(found)
    members = [Member(replace(one, network=each.opened()), found.seen) for each in made]
    beside = abreast.judged(members, val, found.temperature)
    return {
        each.name: parity.proof(found.config.task, val, beside[0], own) for each, own in zip(made, beside, strict=True)
    }
