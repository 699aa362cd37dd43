"""Random search: what every other algorithm has to beat (Li and Talwalkar 2019, arXiv:1902.07638)."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from random import Random as Generating

from cnntrain.config.nas import Algorithm, Decision
from cnntrain.search.nas.drawing import drawn


@dataclass(frozen=True)
class Random(Algorithm):
    """Each architecture is drawn without a look at the others."""

    def proposals(self, decisions: Sequence[Decision], seed: int) -> Generator[list[int], float, None]:
        generator = Generating(f"nas random {seed}")
        while True:
            yield drawn(decisions, generator)
