"""Looking into a network without changing it: what is hooked, frozen or switched in a block is as before after it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from cnntrain.core.errors import InputError


@contextmanager
def undisturbed(network: nn.Module) -> Iterator[None]:
    """Within the block the network is in evaluation mode, none of its parameters takes a gradient, and gradients of
    images are computed whatever the caller has switched off."""
    modes = [(each, each.training) for each in network.modules()]
    flags = [(each, each.requires_grad) for each in network.parameters()]
    try:
        network.eval()
        network.requires_grad_(False)
        with torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        for parameter, flag in flags:
            parameter.requires_grad_(flag)
        for module, training in modes:
            module.training = training


class Recorded:
    """What a module gave when it was last called."""

    def __init__(self, layer: str):
        self.layer = layer
        self.found: Tensor | None = None

    @property
    def value(self) -> Tensor:
        """Raises InputError where it was not called."""
        if self.found is None:
            raise InputError(f"layer={self.layer}: is not computed when the network answers: choose another")
        return self.found


@contextmanager
def recorded(module: nn.Module, layer: str) -> Iterator[Recorded]:
    """Within the block what the module gives is kept, where gradients are on as a tensor that takes one.

    The network goes on with a copy: operations in place, such as ReLU's after it, do not reach what is kept.

    Args:
        layer: the module's name, for people.
    """
    kept = Recorded(layer)

    def keep(module: nn.Module, given: object, output: object) -> Tensor:
        if not isinstance(output, Tensor):
            raise InputError(f"layer={layer}: gives a {type(output).__name__} and no tensor: choose another")
        if torch.is_grad_enabled() and not output.requires_grad:
            output = output.detach().requires_grad_()
        kept.found = output
        return output.clone()

    handle = module.register_forward_hook(keep)
    try:
        yield kept
    finally:
        handle.remove()


@contextmanager
def out_of_place(network: nn.Module) -> Iterator[None]:
    """Within the block no module that can work in place, such as ReLU, does."""
    changed = [each for each in network.modules() if getattr(each, "inplace", False) is True]
    try:
        for each in changed:
            each.inplace = False  # type: ignore[assignment]
        yield
    finally:
        for each in changed:
            each.inplace = True  # type: ignore[assignment]
