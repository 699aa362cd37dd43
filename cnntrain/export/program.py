"""A trained network with all that is around it as one program: from what its data hold to probabilities."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind

from cnntrain.build.trained import Trained
from cnntrain.core.errors import InputError
from cnntrain.export import inputs
from cnntrain.export.inputs import BATCH, Inputs

ANY = torch.export.Dim.DYNAMIC
LOGITS, PROBABILITIES = "logits", "probabilities"
BATCH_NORM = torch.ops.aten.batch_norm.default
CONVOLUTIONS = [
    getattr(getattr(torch.ops.aten, name), how)
    for name in ("conv1d", "conv2d", "conv3d")
    for how in ("default", "padding")
]
TRANSPOSED = [
    torch.ops.aten.conv_transpose1d.default,
    torch.ops.aten.conv_transpose2d.input,
    torch.ops.aten.conv_transpose3d.input,
]


class Alone(nn.Module):
    """Of networks side by side one: what they see to its logits.

    Args:
        setting: which.
    """

    def __init__(self, network: nn.Module, setting: int):
        super().__init__()
        self.network = network
        self.setting = setting

    def forward(self, seen: Tensor) -> Tensor:
        logits: Tensor = self.network(seen)[self.setting]
        return logits


class Computing(nn.Module):
    """What becomes a program.

    `name` is that of its input, `sizes` are the names of the first dimensions of that, which may be any number but for
    None, and `results` the names of what it gives.
    """

    name: str
    sizes: Sequence[str | None]
    results: Sequence[str]

    def example(self) -> Tensor:
        """An input of which no two sides that may be any number are alike."""
        raise NotImplementedError

    def followed(self) -> AbstractContextManager[None]:
        """Around its forward pass while torch.export follows it."""
        return nullcontext()


class Whole(Computing):
    """What its data hold, see `inputs`, to logits and probabilities, float32 [batch, classes] each, or of each pixel
    that the network sees [batch, classes, height, width].

    Args:
        temperature: by which logits are divided before they are probabilities.
    """

    results = (LOGITS, PROBABILITIES)

    def __init__(self, seen: Inputs, network: nn.Module, temperature: float, probabilities: Callable[[Tensor], Tensor]):
        super().__init__()
        self.name, self.sizes = seen.name, seen.sizes
        self.seen = seen
        self.network = network
        self.temperature = temperature
        self.probabilities = probabilities

    def forward(self, given: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.network(self.seen(given))
        return logits, self.probabilities(logits / self.temperature)

    def example(self) -> Tensor:
        return self.seen.example()


def chosen(found: Trained) -> Trained:
    """With one network: of those that a policy trained side by side the one that val chose.

    Raises:
        InputError: the run had no validation yet to choose among its settings.
    """
    setting = (found.best or {}).get("val/setting")
    if setting is None and found.config.transfer.side_by_side:
        raise InputError(f"{found.path}: the run had no validation yet, which chooses among its settings")
    if setting is None:
        return found
    best = {key: value for key, value in (found.best or {}).items() if key != "val/setting"}
    return replace(found, network=Alone(found.network, int(setting)).eval(), best=best or None)


def alone(found: Trained) -> nn.Module:
    """The network without its preprocessing, `plain` from now on; raises what `chosen` does."""
    return plain(chosen(found).network)


def plain(network: nn.Module) -> nn.Module:
    """The network itself, which computes in float32 on the CPU from now on."""
    return network.cpu().float().to(memory_format=torch.contiguous_format).eval()


def whole(found: Trained, temperature: float | None) -> Whole:
    """The network with its preprocessing.

    Raises:
        InputError: as `alone` and `require_plain` do.
    """
    require_plain(found)
    probabilities = found.config.task.probabilities
    return Whole(inputs.of(found.seen), alone(found), temperature or 1.0, probabilities).eval()


def require_plain(found: Trained) -> None:
    """Raises InputError where its images have 16 bits, or were decoded with fewer pixels."""
    if found.seen.jpeg_draft:
        raise InputError(
            f"{found.path}: it was trained with data.jpeg_draft=true, and what is exported with its preprocessing is "
            "given all pixels of an image, so that it would answer otherwise: format=safetensors has the weights alone"
        )
    if found.seen.depth == 16:
        raise InputError(
            f"{found.path}: it was trained on images of 16 bits, and what is exported with its preprocessing takes 8: "
            "format=safetensors has the weights alone"
        )


def program(module: Computing) -> ExportedProgram:
    """For inputs of any sizes."""
    with module.followed():
        return _exported(module, module.example(), module.sizes)


def program_alone(network: nn.Module, shape: Sequence[int]) -> ExportedProgram:
    """For any number of inputs of one shape."""
    return _exported(network, torch.zeros(2, *shape), (BATCH,))


def _exported(module: nn.Module, given: Tensor, sizes: Sequence[str | None]) -> ExportedProgram:
    with torch.no_grad():
        free = {dimension: ANY for dimension, name in enumerate(sizes) if name is not None}
        return torch.export.export(module, (given,), dynamic_shapes=(free,))


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
    if not _folds(convolution):
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
    shape = [1] * kernel.ndim
    shape[int(convolution.target in TRANSPOSED)] = -1  # where the channels are that come out
    _set(values, names[weight.name], kernel.detach().double() * scale.view(shape), kernel)
    _set(values, names[parameters[1].name], (before - mean) * scale + shift, kernel)
    convolution.args = (convolution.args[0], weight, parameters[1], *convolution.args[3:])
    norm.replace_all_uses_with(convolution)
    return True


def _folds(node: Any) -> bool:
    """Whether it is a convolution, or a transposed one without groups."""
    return node.target in CONVOLUTIONS or (node.target in TRANSPOSED and (node.args[6:7] or (1,))[0] == 1)


def _set(values: dict[str, Any], name: str, value: Tensor, like: Tensor) -> None:
    found = value.to(like.dtype).contiguous()
    values[name] = nn.Parameter(found, requires_grad=False) if isinstance(values[name], nn.Parameter) else found
