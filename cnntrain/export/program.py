"""A trained network with all that is around it as one program: from images of any size to probabilities."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind

from cnntrain.build.trained import Trained
from cnntrain.core.errors import InputError
from cnntrain.export.preprocessing import SeenInGraph

SIZES = ("batch", "height", "width")  # of images, whatever they are
ANY = torch.export.Dim.DYNAMIC
BATCH_NORM = torch.ops.aten.batch_norm.default
CONVOLUTIONS = (torch.ops.aten.conv2d.default, torch.ops.aten.conv2d.padding)


class Alone(nn.Module):
    """Images as the network sees them, float32 [batch, channels, size, size], to logits, float32 [batch, classes].

    Args:
        setting: of networks side by side the one that answers; None: there is one network.
    """

    def __init__(self, network: nn.Module, setting: int | None):
        super().__init__()
        self.network = network
        self.setting = setting

    def forward(self, seen: Tensor) -> Tensor:
        logits: Tensor = self.network(seen)
        return logits if self.setting is None else logits[self.setting]


class Whole(nn.Module):
    """uint8 [batch, height, width, channels] to logits and probabilities, float32 [batch, classes] each.

    Args:
        temperature: by which logits are divided before they are probabilities.
    """

    def __init__(
        self, seen: SeenInGraph, network: nn.Module, temperature: float, probabilities: Callable[[Tensor], Tensor]
    ):
        super().__init__()
        self.seen = seen
        self.network = network
        self.temperature = temperature
        self.probabilities = probabilities

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.network(self.seen(images))
        return logits, self.probabilities(logits / self.temperature)


def alone(found: Trained) -> Alone:
    """The network without its preprocessing, computing in float32 on the CPU from now on.

    Raises:
        InputError: the run had no validation yet to choose among its settings.
    """
    setting = (found.best or {}).get("val/setting")
    if setting is None and found.config.transfer.side_by_side:
        raise InputError(f"{found.path}: the run had no validation yet, which chooses among its settings")
    network = found.network.cpu().float().to(memory_format=torch.contiguous_format)
    return Alone(network, None if setting is None else int(setting)).eval()


def whole(found: Trained, temperature: float | None) -> Whole:
    """The network with its preprocessing.

    Raises:
        InputError: as `alone` does, or its images have 16 bits, or were decoded with fewer pixels.
    """
    if found.seen.jpeg_draft:
        raise InputError(
            f"{found.path}: it was trained with data.jpeg_draft=true, and what is exported with its preprocessing is "
            "given all pixels of an image, so that it would answer otherwise: format=safetensors has the weights alone"
        )
    if found.seen.depth != 8:
        raise InputError(
            f"{found.path}: it was trained on images of {found.seen.depth} bits, and what is exported with its "
            "preprocessing takes 8: format=safetensors has the weights alone"
        )
    return Whole(SeenInGraph(found.seen), alone(found), temperature or 1.0, found.config.task.probabilities).eval()


def program(whole: Whole, channels: int) -> ExportedProgram:
    """For any number of images of any size."""
    images = torch.zeros(2, whole.seen.size + 7, whole.seen.size + 3, channels, dtype=torch.uint8)  # no two alike
    return _exported(whole, images, len(SIZES))


def program_alone(network: Alone, shape: Sequence[int]) -> ExportedProgram:
    """For any number of inputs of one shape."""
    return _exported(network, torch.zeros(2, *shape), 1)


def _exported(module: nn.Module, images: Tensor, dynamic: int) -> ExportedProgram:
    """With so many of the first dimensions of images of any size."""
    sizes = (dict.fromkeys(range(dynamic), ANY),)
    with torch.no_grad():
        return torch.export.export(module, (images,), dynamic_shapes=sizes)


def fold(program: ExportedProgram) -> int:
    """Put each BatchNorm that follows a convolution, and it alone, into the convolution's weights; returns how many.

    What the convolution computes is scaled and shifted by constants, as its weights and its bias can do by themselves.
    """
    names = {
        each.arg.name: each.target
        for each in program.graph_signature.input_specs
        if each.kind in (InputKind.PARAMETER, InputKind.BUFFER) and each.target in program.state_dict
    }
    graph, folded = program.graph_module.graph, 0
    for node in list[Any](graph.nodes):
        if node.target is BATCH_NORM and _fold(node, names, program.state_dict):
            graph.erase_node(node)
            folded += 1
    graph.lint()
    program.graph_module.recompile()
    return folded


def _fold(norm: Any, names: dict[str, Any], values: dict[str, Any]) -> bool:
    """Whether it could be done."""
    convolution, *parameters = norm.args[:5]
    if convolution.target not in CONVOLUTIONS:
        return False
    weight = convolution.args[1]
    bias = convolution.args[2] if len(convolution.args) > 2 else None
    own = [weight, *parameters, *([] if bias is None else [bias])]
    alone = len(convolution.users) == 1 and all(
        isinstance(each, torch.fx.Node) and each.name in names and len(each.users) == 1 for each in own
    )
    if not alone:
        return False
    gain, shift, mean, variance = (values[names[each.name]].detach().double() for each in parameters)
    scale = gain / (variance + norm.args[7]).sqrt()
    before = values[names[bias.name]].detach().double() if bias is not None else 0.0
    kernel = values[names[weight.name]]
    _set(values, names[weight.name], kernel.detach().double() * scale.view(-1, 1, 1, 1), kernel)
    _set(values, names[parameters[1].name], (before - mean) * scale + shift, kernel)
    convolution.args = (convolution.args[0], weight, parameters[1], *convolution.args[3:])
    norm.replace_all_uses_with(convolution)
    return True


def _set(values: dict[str, Any], name: str, value: Tensor, like: Tensor) -> None:
    found = value.to(like.dtype).contiguous()
    values[name] = nn.Parameter(found, requires_grad=False) if isinstance(values[name], nn.Parameter) else found
