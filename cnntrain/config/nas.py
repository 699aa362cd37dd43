"""The three parts of ``cnntrain nas``. Importing this module imports nothing heavy."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cnntrain.config.schema import TrainConfig

Genotype = dict[str, Any]  # of plain values; what `models.found` builds a network from


@dataclass(frozen=True)
class Decision:
    """One of the choices that an architecture consists of.

    Attributes:
        kind: what is chosen; decisions of one kind and equally many options mean the same at other places.
        options: how many there are, numbered from 0.
        layer: the part of the architecture that it belongs to.
        anchor: the earlier layer that is connected (1) or not (0); None: another choice.
    """

    kind: str
    options: int
    layer: int
    anchor: int | None = None


@dataclass(frozen=True)
class Space:
    """Which architectures there are: each is a string of numbers, one for each decision."""

    name: str

    def decisions(self) -> list[Decision]:
        raise NotImplementedError

    def genotype(self, string: Sequence[int]) -> Genotype:
        """The architecture that a string stands for."""
        raise NotImplementedError


@dataclass(frozen=True)
class Algorithm:
    """Which architecture is tried next."""

    name: str

    def proposals(self, decisions: Sequence[Decision], seed: int) -> Generator[list[int], float, None]:
        """Strings without an end; each is answered by its reward. What is drawn depends on the seed and the rewards
        alone, so that a search that is begun anew with the same answers goes the same way."""
        raise NotImplementedError


@dataclass(frozen=True)
class Evaluation:
    """How good an architecture is."""

    name: str

    def judged(self, config: TrainConfig) -> Mapping[str, Any]:
        """Plain values on the network of a configuration, at least ``reward`` (the higher the better), ``value`` (the
        metric of val, None where there is none), ``params`` and ``macs``.

        Raises:
            StopError: a signal came.
        """
        raise NotImplementedError
