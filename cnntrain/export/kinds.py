"""What the graph of a task computes, and how what was read back of it is used and judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from cnntrain.build.trained import Trained
from cnntrain.core.adversaries import pixels
from cnntrain.core.errors import InputError
from cnntrain.core.targets import Target
from cnntrain.export import program
from cnntrain.export.detector import BOXES, MASKS, Detector, GraphDetector
from cnntrain.export.graphs import Graph, GraphGenerator, GraphNetwork, WithDiscriminator
from cnntrain.export.inputs import BATCH, OfImages
from cnntrain.export.program import Computing

LATENT, DETECTIONS = "latent", "detections"  # among what is known of a graph: see `Adversaries` and `GraphDetector`


class Kind(Protocol):
    """Attributes:
    gives_logits: whether it answers by them, which can be timed and computed in 8 bits.
    """

    gives_logits: bool

    def module(self, found: Trained, temperature: float | None) -> Computing:
        """What becomes a graph; raises what `program.whole` raises."""
        ...

    def known(self, found: Trained) -> dict[str, Any]:
        """What `network` needs to know of it."""
        ...

    def results(self, known: Mapping[str, Any]) -> int:
        """How many of a graph's results, the first ones, `network` needs."""
        ...

    def network(self, graph: Graph, known: Mapping[str, Any]) -> nn.Module:
        """The graph that was read back."""
        ...

    def judged(self, found: Trained, read: Trained) -> Trained:
        """What was read back of `found`, as it can be judged."""
        ...


class Answering:
    """Samples to logits and probabilities."""

    gives_logits = True

    def module(self, found: Trained, temperature: float | None) -> Computing:
        return program.whole(found, temperature)

    def known(self, found: Trained) -> dict[str, Any]:
        return {}

    def results(self, known: Mapping[str, Any]) -> int:
        return 1

    def network(self, graph: Graph, known: Mapping[str, Any]) -> nn.Module:
        return GraphNetwork(graph)

    def judged(self, found: Trained, read: Trained) -> Trained:
        return read


class Maker(Computing):
    """Random numbers, float32 [batch, latent], to images: float32 [batch, channels, side, side] from -1 to 1, and as
    files have them, uint8 [batch, side, side, channels]."""

    name = "latents"
    sizes = (BATCH,)
    results = ("values", "images")

    def __init__(self, network: Any):
        super().__init__()
        self.generator = network.generator
        self.latent: int = network.latent

    def forward(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        values = self.generator(latents[:, :, None, None])
        return values, pixels(values).permute(0, 2, 3, 1)

    def example(self) -> Tensor:
        return torch.zeros(2, self.latent)


class Making:
    """Random numbers to images, by the generator alone."""

    gives_logits = False

    def module(self, found: Trained, temperature: float | None) -> Computing:
        return Maker(program.plain(found.network)).eval()

    def known(self, found: Trained) -> dict[str, Any]:
        return {LATENT: found.network.latent}

    def results(self, known: Mapping[str, Any]) -> int:
        return 1

    def network(self, graph: Graph, known: Mapping[str, Any]) -> nn.Module:
        return GraphGenerator(graph, known[LATENT])

    def judged(self, found: Trained, read: Trained) -> Trained:
        """On what the network itself is given, by its own discriminator."""
        generator, network = (cast(Any, each.network) for each in (read, found))
        return replace(found, network=WithDiscriminator(generator, network))


class Finding:
    """An image to the objects in it, by a detector that finds its proposals in its maps."""

    gives_logits = False

    def module(self, found: Trained, temperature: float | None) -> Computing:
        """Raises InputError where proposals are searched for, or as `program.require_plain` does."""
        if hasattr(found.network, "propose"):
            raise InputError(
                f"{found.path}: model={found.config.model.name} searches its proposals in Python, so that it can be no "
                "graph: format=safetensors has the weights alone"
            )
        program.require_plain(found)
        return Detector(OfImages(found.seen), program.plain(found.network)).eval()

    def known(self, found: Trained) -> dict[str, Any]:
        network: Any = found.network
        return {DETECTIONS: network.head.most, MASKS: network.has_masks}

    def results(self, known: Mapping[str, Any]) -> int:
        return len(BOXES) + known[MASKS]

    def network(self, graph: Graph, known: Mapping[str, Any]) -> nn.Module:
        return GraphDetector(graph, known[DETECTIONS], known[MASKS])

    def judged(self, found: Trained, read: Trained) -> Trained:
        return read


KINDS: dict[Target, Kind] = {"image": Making(), "boxes": Finding()}


def of(target: Target) -> Kind:
    """That of a task which learns that."""
    return KINDS.get(target, Answering())
