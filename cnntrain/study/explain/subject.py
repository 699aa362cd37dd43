"""The network that is looked into, and the images that it is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from cnntrain.core.errors import InputError
from cnntrain.data.batches.preprocess import Preprocess
from cnntrain.models import layers
from cnntrain.study.explain.hooks import recorded, undisturbed


@dataclass(frozen=True)
class Subject:
    """A network with what is asked of it.

    Attributes:
        layer: the name of a module; None: see `at`.
        seen: how images are prepared for it.
        probabilities: of such images, float64 [images, classes], as `cnntrain predict` gives them.
        device: where the network is.
        seed: of whatever a method draws.
    """

    network: nn.Module
    layer: str | None
    classes: Sequence[str]
    seen: Preprocess
    probabilities: Callable[[Tensor], Tensor]
    device: torch.device
    seed: int = 0

    def __post_init__(self) -> None:
        if self.layer is not None:
            layers.named(self.network, self.layer)

    def logits(self, inputs: Tensor) -> Tensor:
        """[images, classes].

        Raises:
            InputError: the network answers in another way.
        """
        found = self.network(inputs.clone())  # a network may overwrite what it is given
        if not isinstance(found, Tensor) or found.ndim != 2:
            raise InputError(f"{type(self.network).__name__} does not give one row of logits an image")
        return found

    @cached_property
    def at(self) -> str:
        """The layer whose maps count: the one that was asked for, else the last stage that gives maps of more than one
        position, else the last such module.

        Raises:
            InputError: there is none.
        """
        if self.layer is not None:
            return self.layer
        every = [name for name, _ in self.network.named_modules() if name]
        for names in (layers.stages(self.network), every):
            shapes = self.shapes(names)
            if spatial := [name for name, each in shapes.items() if len(each) == 4 and each[2] * each[3] > 1]:
                return spatial[-1]
        raise InputError(f"{type(self.network).__name__} has no layer with maps of more than one position")

    def shapes(self, names: Sequence[str]) -> dict[str, torch.Size]:
        """Of what modules give for one image of the network's size, in the order in which they are computed; those
        that are not computed, or give no tensor, are left out."""
        found: dict[str, torch.Size] = {}

        def record(name: str) -> Callable[..., None]:
            def hook(module: nn.Module, given: object, output: object) -> None:
                found.pop(name, None)
                if isinstance(output, Tensor):
                    found[name] = output.shape

            return hook

        handles = [layers.named(self.network, each).register_forward_hook(record(each)) for each in names]
        try:
            with undisturbed(self.network), torch.no_grad():
                self.network(self.blank())
        finally:
            for each in handles:
                each.remove()
        return found

    def blank(self) -> Tensor:
        """An image of the mean colour as the network sees it: zeros [1, channels, size, size]."""
        like = next(self.network.parameters())
        return torch.zeros(1, *self.seen.shape, device=like.device, dtype=like.dtype)

    def activations(self, inputs: Tensor, layer: str | None = None) -> Tensor:
        """What a layer gives, [images, ...]; None: `at`."""
        name = layer or self.at
        with recorded(layers.named(self.network, name), name) as found:
            self.network(inputs)
        return found.value


@dataclass(frozen=True)
class Shown:
    """Images that a network is shown.

    Attributes:
        names: their files, or numbers for those that have none.
        labels: the folder that each is in; empty for those that are in none.
        batches: their positions, and what the network sees of them [images, channels, size, size], in order; those that
            cannot be read are told and left out. Each call begins anew.
        picture: of a position the image as it is in its file, uint8 or uint16 [channels, height, width].
    """

    names: Sequence[str]
    labels: Sequence[str]
    batches: Callable[[], Iterator[tuple[list[int], Tensor]]]
    picture: Callable[[int], Tensor]
