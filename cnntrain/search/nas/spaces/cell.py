"""The space of NASNet (Zoph et al. 2017, arXiv:1707.07012): the inside of a normal and of a reduction cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from cnntrain.config.nas import Decision, Genotype, Space
from cnntrain.core.limits import Count
from cnntrain.models.genotypes import OPERATIONS


@dataclass(frozen=True)
class Cell(Space):
    """Of each block of both cells two inputs, of the two maps before the cell and the blocks before this one, and an
    operation on each. The results are added; the paper's search could concatenate them, too.
    """

    blocks: Count
    operations: list[str]
    repeats: Count  # normal cells of a stage, where children are trained
    filters: Count  # of the first stage, there

    def __post_init__(self) -> None:
        unknown = [each for each in self.operations if each not in OPERATIONS]
        if unknown or not self.operations or len(set(self.operations)) < len(self.operations):
            raise ValueError(f"operations={self.operations} must be different ones of {', '.join(OPERATIONS)}")

    def decisions(self) -> list[Decision]:
        found = []
        for number in range(2 * self.blocks):
            for _ in range(2):
                found.append(Decision("input", 2 + number % self.blocks, number))
                found.append(Decision("operation", len(self.operations), number))
        return found

    def genotype(self, string: Sequence[int]) -> Genotype:
        numbers = iter(string)
        blocks = []
        for _ in range(2 * self.blocks):
            first, op, second, other = islice(numbers, 4)
            blocks.append([first, self.operations[op], second, self.operations[other]])
        return {
            "space": "cell",
            "normal": blocks[: self.blocks],
            "reduction": blocks[self.blocks :],
            "repeats": self.repeats,
            "filters": self.filters,
        }
