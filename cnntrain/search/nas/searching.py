"""The search: an algorithm proposes, children are trained, and the journal remembers each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from cnntrain.config.nas import Algorithm, Evaluation, Genotype, Space
from cnntrain.config.schema import TrainConfig
from cnntrain.core.digest import digest
from cnntrain.search.journal import Journal

MOST = 20  # proposals for each child that is to be trained: an algorithm may have settled on what it knows


@dataclass(frozen=True)
class Child:
    """Attributes:
    record: of the journal: genotype, value, reward, params, macs, seconds.
    proposals: how many there were up to this child, those that were known already included.
    """

    record: dict[str, Any]
    proposals: int


def child_config(config: TrainConfig, genotype: Genotype) -> TrainConfig:
    """The training of one architecture."""
    return replace(config, model=replace(config.model, args={**config.model.args, "genotype": genotype}))


def children(
    config: TrainConfig, space: Space, algorithm: Algorithm, evaluation: Evaluation, most: int, journal: Journal
) -> Iterator[Child]:
    """Different architectures, at most so many, in the order in which they are proposed first.

    None is trained twice, not in an earlier call either: the algorithm goes its way again with the answers that the
    journal has. It ends earlier where the algorithm proposes nothing new any more.

    Raises:
        StopError: a signal came; the children that were trained are in the journal.
    """
    proposals = algorithm.proposals(space.decisions(), config.seed)
    string, seen = next(proposals), set[str]()
    for number in range(1, MOST * most + 1):
        genotype = space.genotype(string)
        key = digest(genotype)
        if key not in journal.records:
            facts = evaluation.judged(child_config(config, genotype))
            journal.add(key, {"genotype": genotype, **facts})
        if key not in seen:
            seen.add(key)
            yield Child(journal.records[key], number)
            if len(seen) == most:
                return
        string = proposals.send(journal.records[key]["reward"])
