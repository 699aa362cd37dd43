"""The frozen prefix: what a network computes from nothing that is trained, cut off by torch.fx.

A value is *fixed* when it depends on no trained parameter, on no batch statistic and on no randomness. The fixed part
of the graph is the prefix; the values that the rest needs of it are the cut. Two traces are made, in training and in
evaluation mode, since a network may compute other things in each; the prefix is the same in both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import NoneType
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.node import Argument, map_aggregate

from cnntrain.transfer.frozen.trace import Trace, UncuttableError, digest, has_parameters, in_place

EXAMPLES = 2  # images of the trial run


@dataclass
class Cut:
    """A network that is cut in two.

    Attributes:
        prefix: images [n, channels, height, width] to the tensors of the cut, each [n, ...].
        names: of those tensors in the network's graph.
        shapes, dtypes: of each; the shape without the batch.
        key: hex digest of what the prefix computes, weights apart.
    """

    prefix: fx.GraphModule
    names: list[str]
    shapes: list[torch.Size]
    dtypes: list[torch.dtype]
    key: str
    train_graph: fx.Graph
    eval_graph: fx.Graph

    def suffix(self, model: nn.Module) -> Suffix:
        """The rest of `model`, which is the network that was cut or a copy of it (a moving average)."""
        return Suffix(model, self.train_graph, self.eval_graph)

    def state(self) -> dict[str, Tensor]:
        """The parameters and buffers that the prefix computes with."""
        return {**dict(self.prefix.named_parameters()), **dict(self.prefix.named_buffers())}


class Suffix(nn.Module):
    """The network behind the cut, on the modules of `model` itself: training it trains `model`.

    Its mode is that of `model`, so a frozen module that stays in evaluation mode does so here too.
    """

    def __init__(self, model: nn.Module, train_graph: fx.Graph, eval_graph: fx.Graph):
        super().__init__()
        self._model = (model,)  # in a tuple: not a module of this one, whose parameters are those of the suffix alone
        self.train_graph = fx.GraphModule(model, train_graph)
        self.eval_graph = fx.GraphModule(model, eval_graph)

    def train(self, mode: bool = True) -> Suffix:
        self._model[0].train(mode)
        return self

    def forward(self, cut: tuple[Tensor, ...]) -> Any:
        """The tensors of the cut to what the network returns."""
        return (self.train_graph if self._model[0].training else self.eval_graph)(*cut)


def cut_off(model: nn.Module, train_mode: Callable[[], None], images: Tensor) -> Cut | None:
    """Cut the frozen prefix off `model`, or return None where nothing that it computes is fixed.

    Args:
        train_mode: puts `model` into the mode that it is trained in, frozen modules in evaluation mode; it is left so.
        images: a few, of the shape, type and device that the network is given; see `EXAMPLES`.

    Raises:
        UncuttableError: torch.fx cannot trace the network, or the parts do not compute what the whole does.
    """
    try:
        train_mode()
        trained = Trace(model)
        fixed = trained.fixed(model)
        if not any(has_parameters(node, model) for node in fixed):
            return None  # images alone, or padded ones, are not worth a cut
        evaluated = Trace(model.eval())
        with torch.no_grad():
            return _divide(model, trained, evaluated, {trained.keys[node] for node in fixed}, images)
    finally:
        train_mode()


def _divide(model: nn.Module, trained: Trace, evaluated: Trace, fixed: set[str], images: Tensor) -> Cut:
    values = _values(model, evaluated, fixed, images)
    batches = {key for key, value in values.items() if isinstance(value, Tensor) and _is_batch(value, images)}
    known = {key: value for key, value in values.items() if isinstance(value, (torch.device, torch.dtype, NoneType))}
    known |= _sizes(values, _values(model, evaluated, fixed, images[:1]))
    needed = set().union(*(_needed(model, trace, fixed, batches, known) for trace in (trained, evaluated)))
    cut = [node for node in _unique(evaluated) if evaluated.keys[node] in needed]
    keys = [evaluated.keys[node] for node in cut]
    found = Cut(
        prefix=fx.GraphModule(model, _prefix(evaluated, fixed, cut)),
        names=[node.name for node in cut],
        shapes=[values[key].shape[1:] for key in keys],
        dtypes=[values[key].dtype for key in keys],
        key=digest((keys, tuple(images.shape[1:]))),
        train_graph=_suffix(trained, fixed, keys, known),
        eval_graph=_suffix(evaluated, fixed, keys, known),
    )
    _verify(model(images), found.suffix(model)(tuple(values[key] for key in keys)))
    return found


def _values(model: nn.Module, trace: Trace, fixed: set[str], images: Tensor) -> dict[str, Any]:
    """Every fixed value, computed for `images`."""
    interpreter = fx.Interpreter(fx.GraphModule(model, trace.graph), garbage_collect_values=False)
    interpreter.args_iter = iter([images])
    found: dict[str, Any] = {}
    for node in trace.graph.nodes:
        if trace.keys[node] in fixed:
            interpreter.env[node] = found[trace.keys[node]] = interpreter.run_node(node)
    return found


def _sizes(values: Mapping[str, Any], alone: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers that do not depend on how many images there are, such as their height, which are those of all images:
    so that no images are needed behind the cut for the sake of their size."""
    numbers = {key: value for key, value in values.items() if type(value) is int}
    return {key: value for key, value in numbers.items() if alone[key] == value}


def _is_batch(value: Tensor, images: Tensor) -> bool:
    return value.ndim > 0 and len(value) == len(images)


def _unique(trace: Trace) -> list[fx.Node]:
    """The nodes in order, the first of those with equal values."""
    first: dict[str, fx.Node] = {}
    for node in trace.graph.nodes:
        first.setdefault(trace.keys[node], node)
    return list(first.values())


def _needed(model: nn.Module, trace: Trace, fixed: set[str], batches: set[str], known: Mapping[str, Any]) -> set[str]:
    """Keys of the fixed batches that the rest of the graph reads.

    Sizes and weights among the fixed values are computed again behind the cut, and so is what takes no weights and
    nothing but the cut: DenseNet's concatenations, the pooling branch of an Inception block.
    """
    needed: dict[str, fx.Node] = {}
    seen: set[fx.Node] = set()
    waiting = [each for node in trace.graph.nodes if trace.keys[node] not in fixed for each in node.all_input_nodes]
    while waiting:
        node = waiting.pop()
        if trace.keys[node] not in fixed or trace.keys[node] in known or node in seen:
            continue
        seen.add(node)
        if trace.keys[node] in batches:
            needed[trace.keys[node]] = node
        else:
            waiting += node.all_input_nodes
    derived = {
        key
        for key, node in needed.items()
        if node.op != "placeholder"
        and not has_parameters(node, model)
        and not in_place(node, model)
        and all(trace.keys[each] in needed for each in node.all_input_nodes)
    }
    return needed.keys() - derived


def _prefix(trace: Trace, fixed: set[str], cut: list[fx.Node]) -> fx.Graph:
    graph = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    for node in trace.graph.nodes:
        if trace.keys[node] in fixed:
            copies[node] = graph.node_copy(node, lambda each: copies[each])
    graph.output(tuple(copies[node] for node in cut))
    return graph


def _suffix(trace: Trace, fixed: set[str], cut: list[str], known: Mapping[str, Any]) -> fx.Graph:
    """Everything that is not fixed, in its order, and of the fixed part only sizes and weights that it reads.

    Args:
        known: values that are written into the graph as they are: devices, types, None, sizes.
    """
    graph = fx.Graph()
    values: dict[str, Any] = {**known} | {key: graph.placeholder(f"cut_{number}") for number, key in enumerate(cut)}
    copies: dict[fx.Node, fx.Node] = {}

    def copy(node: fx.Node) -> Any:
        key = trace.keys[node]
        if key in values:
            return values[key]
        if node not in copies:
            copies[node] = graph.node_copy(node, copy)
        return copies[node]

    for node in trace.graph.nodes:
        if trace.keys[node] not in fixed:
            copies[node] = graph.node_copy(node, copy)
    return graph


def _verify(whole: Any, parts: Any) -> None:
    """The outputs of the two parts against those of the whole, in evaluation mode.

    Raises:
        UncuttableError: they differ, as where an operation in place reaches across the cut.
    """
    pairs = zip(_tensors(whole), _tensors(parts), strict=True)
    if not all(torch.allclose(one, other, rtol=1e-4, atol=1e-5, equal_nan=True) for one, other in pairs):
        raise UncuttableError("its parts do not give what the whole gives")


def _tensors(outputs: Argument) -> list[Tensor]:
    found: list[Tensor] = []
    map_aggregate(outputs, lambda each: found.append(each) if isinstance(each, Tensor) else None)
    return found
