"""The network that is looked into, and the images that it is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from cnntrain.core.errors import InputError
from cnntrain.data.batches.feed import Batch
from cnntrain.data.batches.preprocess import Preprocess
from cnntrain.models import layers
from cnntrain.study.explain.hooks import recorded, undisturbed
from cnntrain.tasks.score import Score

MAPS = {1: "[channels, length]", 2: "[channels, height, width]", 3: "[channels, frames, height, width]"}


@dataclass(frozen=True)
class Subject:
    """A network with what is asked of it.

    Attributes:
        layer: the name of a module; None: see `at`.
        seen: how inputs are prepared for it: images, signals or volumes.
        scoring: of what it gives for them what is explained, see `Task.score`.
        device: where the network is.
        seed: of whatever a method draws.
        score: what `asked` has fixed; None: of each batch what it gives for that batch itself.
        chosen: of what the network gives what is its answer, where it holds several side by side.
    """

    network: nn.Module
    layer: str | None
    classes: Sequence[str]
    seen: Preprocess
    scoring: Callable[[Any], Score]
    device: torch.device
    seed: int = 0
    score: Score | None = None
    chosen: Callable[[Any], Any] = lambda outputs: outputs

    def __post_init__(self) -> None:
        if self.layer is not None:
            layers.named(self.network, self.layer)

    def outputs(self, inputs: Tensor) -> Any:
        """What the network answers."""
        return self.chosen(self.network(inputs.clone()))  # a network may overwrite what it is given

    def asked(self, outputs: Any) -> Subject:
        """The same, asked about the images for which the network gives this, and whatever is made of them: in each
        batch as many, in their order."""
        found = copy(self)  # which knows `at` where this does
        object.__setattr__(found, "score", self.scoring(outputs))
        return found

    def logits(self, inputs: Tensor) -> Tensor:
        """Scores [images, classes]: of an image as a whole its logits, else what `Task.score` says.

        Raises:
            InputError: the network answers in another way.
        """
        outputs = self.outputs(inputs)
        found = (self.score or self.scoring(outputs)).logits(outputs)
        if not isinstance(found, Tensor) or found.ndim != 2:
            raise InputError(f"{type(self.network).__name__} does not give one row of logits an image")
        return found

    def probabilities(self, inputs: Tensor) -> Tensor:
        """Of the classes, float64 [images, classes]: of images as a whole as `cnntrain predict` gives them."""
        outputs = self.outputs(inputs)
        return (self.score or self.scoring(outputs)).probabilities(outputs)

    def answers(self, inputs: Tensor) -> Tensor:
        """The class that is the answer, int64 [images]."""
        return self.scoring(self.outputs(inputs)).answers

    @property
    def units(self) -> str:
        """What sides are counted in."""
        return "values" if self.seen.dimensions == 1 else "pixels"

    @property
    def map_in_words(self) -> str:
        """The shape of `is_map`."""
        return MAPS[self.seen.dimensions]

    def is_map(self, shape: Sequence[int]) -> bool:
        """Whether what a layer gives, [images, channels, ...], has as many sides as the inputs."""
        return len(shape) == 2 + self.seen.dimensions

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
            if spatial := [name for name, each in shapes.items() if self.is_map(each) and each[2:].numel() > 1]:
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
        """An image of the mean colour as the network sees it, or a signal of the mean: zeros [1, channels, ...]."""
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
        batches: their positions, and what the network sees of them [images, channels, ...], in order; those that cannot
            be read are told and left out. Each call begins anew.
        picture: of a position the image as it is in its file, uint8 or uint16 [channels, height, width]; or the signal,
            or the volume.
    """

    names: Sequence[str]
    labels: Sequence[str]
    batches: Callable[[], Iterator[tuple[list[int], Tensor]]]
    picture: Callable[[int], Tensor]


def readable(batches: Callable[[], Iterable[Batch]], say: Callable[[str], None]) -> Iterator[tuple[list[int], Tensor]]:
    """What `Shown.batches` gives.

    Args:
        batches: whose targets are why an image cannot be read, empty where it can.
        say: is told of those that cannot.
    """
    done = 0
    for batch in batches():
        for each in filter(None, batch.targets):
            say(each)
        good = [number for number, problem in enumerate(batch.targets) if not problem]
        if good:
            yield [done + number for number in good], batch.inputs[good]
        done += batch.count
