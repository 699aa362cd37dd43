"""CUDA graphs: the forward and backward pass of a batch recorded once, and replayed in one call."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

from cnntrain.core.errors import ConfigError, first_line


class Recorded(nn.Module):
    """Computes what `network` does. A training batch like the one recorded is replayed (Nguyen et al. 2021,
    pytorch.org/blog/accelerating-pytorch-with-cuda-graphs): the operations of a small network a GPU does faster than a
    CPU asks for them one by one.

    Args:
        inputs: of a training batch, whose shape most batches have.
        precision: of the forward pass.

    Raises:
        ConfigError: the network waits for the GPU, or does otherwise what cannot be recorded.
    """

    def __init__(self, network: nn.Module, inputs: Any, precision: AbstractContextManager[Any]):
        super().__init__()
        self.network = network
        self.shapes = _shapes(inputs)
        before = {name: buffer.clone() for name, buffer in network.named_buffers()}
        inputs = pytree.tree_map_only(torch.Tensor, torch.clone, inputs)  # they become the graph's own
        whole = _Whole(network)
        quiet = getattr(torch.autograd.graph, "set_warn_on_accumulate_grad_stream_mismatch", None)
        if quiet is not None:  # gradients come from another stream than that of the step, as they should
            quiet(False)
        _begin_backward(inputs)
        try:
            with precision:
                cached = torch.is_autocast_cache_enabled()
                torch.set_autocast_cache_enabled(False)  # else the weights' casts would be left out of the graph
                try:
                    self.replay = torch.cuda.make_graphed_callables(whole, (inputs,), allow_unused_input=True)
                finally:
                    torch.set_autocast_cache_enabled(cached)
        except RuntimeError as error:
            raise ConfigError(
                f"trainer.cuda_graphs=true: this network cannot be recorded ({first_line(error)}): leave it out"
            ) from error
        with torch.no_grad():  # recording has run the network several times
            for name, buffer in network.named_buffers():
                buffer.copy_(before[name])

    def forward(self, inputs: Any) -> Any:
        if torch.is_grad_enabled() and _shapes(inputs) == self.shapes:
            return self.replay(inputs)
        return self.network(inputs)


class _Whole(nn.Module):
    """What torch gives another ``forward``, so that `network` keeps its own."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, inputs: Any) -> Any:
        return self.network(inputs)


def _begin_backward(inputs: Any) -> None:
    """The thread in which torch computes gradients has no CUDA context before its first kernel, and warns where that is
    a product of matrices, as it would be in a recording."""
    for device in {each.device for each in pytree.tree_leaves(inputs)}:
        one = torch.ones((), device=device, requires_grad=True)
        torch.autograd.grad(one.square(), one)


def _shapes(inputs: Any) -> list[Any]:
    return [(each.shape, each.dtype, each.stride()) for each in pytree.tree_leaves(inputs)]
