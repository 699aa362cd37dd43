"""Graphs that were read back, used as networks are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import NoReturn

import numpy as np
import torch
from torch import Tensor, nn

from cnntrain.core.adversaries import Adversaries, Seen
from cnntrain.core.errors import InputError

VALUES = 2**23  # of inputs that go through a graph at once, at most: the preprocessing of images holds them in float64
Graph = Callable[[np.ndarray], Sequence[np.ndarray]]  # a graph's input, see `inputs`, to the first of its results


class GraphNetwork(nn.Module):
    """A row of inputs, each without the batch, to logits [inputs, ...]."""

    def __init__(self, graph: Graph):
        super().__init__()
        self._graph = graph

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        rows = [self._graph(np.stack(each))[0] for each in _alike(inputs)]
        return torch.from_numpy(np.concatenate(rows))


def _alike(inputs: Sequence[Tensor]) -> Iterator[list[np.ndarray]]:
    """Neighbours of one size, so many that they have room."""
    for shape, row in groupby((each.numpy() for each in inputs), key=lambda each: each.shape):
        same, most = list(row), max(1, VALUES // int(np.prod(shape)))
        yield from (same[start : start + most] for start in range(0, len(same), most))


class GraphGenerator(nn.Module):
    """Makes images as `Adversaries` does; what it is not is a discriminator."""

    def __init__(self, graph: Graph, latent: int):
        super().__init__()
        self._graph = graph
        self.latent = latent

    def generate(self, latents: Tensor) -> Tensor:
        return torch.from_numpy(self._graph(latents.float().numpy())[0]).to(latents)

    def forward(self, images: Sequence[Tensor]) -> NoReturn:
        raise InputError(
            "an exported generator makes images and judges none, as an evaluation needs: give its run's folder"
        )


class WithDiscriminator(nn.Module):
    """A generator with the discriminator of a trained network, by which it is judged."""

    def __init__(self, generator: GraphGenerator, network: Adversaries):
        super().__init__()
        self.latent = generator.latent
        self.generate = generator.generate
        self.discriminate = network.discriminate

    def forward(self, images: Tensor) -> Seen:
        return Seen(images, self.discriminate(images), self)
