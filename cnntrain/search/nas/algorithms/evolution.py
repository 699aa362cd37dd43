"""Regularised evolution (Real et al. 2019, arXiv:1802.01548): who is oldest dies, however good."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from random import Random

from cnntrain.config.nas import Algorithm, Decision
from cnntrain.core.limits import Count
from cnntrain.search.nas.drawing import drawn, mutated


@dataclass(frozen=True)
class Evolution(Algorithm):
    """A population of random architectures; then each time the best of a few of them, with one decision changed, takes
    the place of the oldest.
    """

    population: Count
    sample: Count

    def __post_init__(self) -> None:
        if self.sample > self.population:
            raise ValueError(f"sample={self.sample} are drawn of population={self.population}: at most so many")

    def proposals(self, decisions: Sequence[Decision], seed: int) -> Generator[list[int], float, None]:
        random, living = Random(f"nas evolution {seed}"), deque[tuple[float, list[int]]]()
        while True:
            if len(living) < self.population:
                child = drawn(decisions, random)
            else:
                _, parent = max(random.sample(living, self.sample), key=lambda each: each[0])
                child = mutated(parent, decisions, random)
            reward = yield child
            living.append((reward, child))
            if len(living) > self.population:
                living.popleft()
