"""A training seen from inside: of the first step of each epoch the gradients, weights, updates and activations, by
layer. Nothing is changed and no random number is drawn, so the weights come out bit for bit as without it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from cnntrain.data.batches.feed import Batch

KEPT = 20_000  # values of a layer's activations, at most, that its histogram is of
ACTIVATIONS = ("torch.nn.modules.activation", "timm.layers.activations")  # where their classes are
ONE_SIDED = (nn.ReLU, nn.ReLU6)  # what they give is never below 0
Write = Callable[[Mapping[str, float], Mapping[str, Tensor]], None]


class Watcher:
    """Looks at the step of the first batches that it is given, and tells what it saw.

    Scalars, by layer: ``gradient`` and ``weight``, Euclidean norms of a layer's weights, the gradient as the optimizer
    gets it, clipped where it is clipped; ``update``, the norm of what the step changed, over the weight's; and
    ``dead``, the share of a ReLU's channels that are 0 for all images of the batch. Histograms: ``activations``.

    Args:
        write: is given the scalars and the histograms' values.
    """

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, write: Write):
        self.model, self.optimizer, self.write = model, optimizer, write
        self.weights = {name.removesuffix(".weight"): p for name, p in model.named_parameters() if p.ndim > 1}
        self.scalars: dict[str, float] = {}
        self.histograms: dict[str, Tensor] = {}

    def __call__(self, batches: Iterator[Batch], pieces: int) -> Iterator[Batch]:
        """The same batches, the first `pieces` of which are a step's."""
        with self._looking():
            for _ in range(pieces):
                batch = next(batches, None)
                if batch is None:
                    return
                yield batch
        self.write(self.scalars, self.histograms)
        yield from batches

    @contextmanager
    def _looking(self) -> Iterator[None]:
        self.scalars, self.histograms = {}, {}
        before: dict[str, Tensor] = {}
        with ExitStack() as stack:
            for name, module in self.model.named_modules():
                if _is_watched(module):
                    stack.callback(module.register_forward_hook(self._activations(name)).remove)
            stack.callback(self.optimizer.register_step_pre_hook(lambda *told: self._gradients(before)).remove)
            stack.callback(self.optimizer.register_step_post_hook(lambda *told: self._updates(before)).remove)
            yield

    def _activations(self, name: str) -> Callable[..., None]:
        def look(module: nn.Module, given: Any, output: Any) -> None:
            if not (module.training and isinstance(output, Tensor) and output.ndim > 1):
                return
            values = output.detach()
            flat = values.flatten()
            # a copy: what follows may work in place
            self.histograms[f"activations/{name}"] = flat[:: -(-len(flat) // KEPT)].float().cpu().clone()
            if isinstance(module, ONE_SIDED):
                zero = (values == 0).movedim(1, 0).flatten(1).all(1)
                self.scalars[f"dead/{name}"] = float(zero.float().mean())

        return look

    @torch.no_grad()
    def _gradients(self, before: dict[str, Tensor]) -> None:
        for name, weight in self.weights.items():
            if weight.grad is not None:
                self.scalars[f"gradient/{name}"] = _norm(weight.grad)
                self.scalars[f"weight/{name}"] = _norm(weight)
                before[name] = weight.clone()

    @torch.no_grad()
    def _updates(self, before: Mapping[str, Tensor]) -> None:
        for name, old in before.items():
            change, size = _norm(self.weights[name] - old), self.scalars[f"weight/{name}"]
            self.scalars[f"update/{name}"] = change / size if size else 0.0


def _is_watched(module: nn.Module) -> bool:
    """Whether it is a layer with weights or an activation, with none inside."""
    if any(True for _ in module.children()):
        return False
    weighted = any(each.ndim > 1 for each in module.parameters(recurse=False))
    return weighted or type(module).__module__ in ACTIVATIONS


def _norm(values: Tensor) -> float:
    return float(values.detach().float().norm())
