"""Networks judged at once: of each batch the answers of all are there before the next one is read, so that they can be
held against each other although they are not kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cnntrain.build.judging import Judged, Member
from cnntrain.core import stopping
from cnntrain.data.batches.feed import Batch
from cnntrain.data.batches.plan import WHOLE, eval_plan
from cnntrain.data.sets.dataset import Labelled
from cnntrain.tasks.base import Metrics, Objective, Totals
from cnntrain.tasks.comparison import Comparison, Difference
from cnntrain.training.answers import Answers
from cnntrain.training.loop import evaluate


@dataclass(frozen=True)
class Beside:
    """What a network answered, and how far that is from what the first one did."""

    judged: Judged
    difference: Difference


def judged(members: Sequence[Member], images: Labelled, temperature: float | None) -> list[Beside]:
    """On images whose labels are positions in their classes, by the function and the task of training; in one process.

    Args:
        members: each of one network (`program.chosen`), all in the precision of the first.

    Raises:
        StopError: a signal came.
    """
    first, plan = members[0].found, eval_plan(len(images.part), members[0].found.config.data.batch_size, WHOLE)
    task: Any = _Each(members[0].objective, [first.config.task.comparison(temperature or 1.0) for _ in members])
    batches = _together([iter(each.found.batches(images.part, each.seen, plan)) for each in members])
    evaluate(
        _Networks([each.found.network for each in members]), batches, task, first.precision, stopping.heed, task.kept
    )
    return [
        Beside(
            Judged(dict(task.found[number]), answers.of(images.part, first.classes, each.about(images))),
            task.comparisons[number].difference(),
        )
        for number, (each, answers) in enumerate(zip(members, task.answers, strict=True))
    ]


def _together(streams: Sequence[Iterator[Batch]]) -> Iterator[Batch]:
    """The inputs of all; the targets are those of the first."""
    for batches in zip(*streams, strict=True):
        yield Batch([each.inputs for each in batches], batches[0].targets, batches[0].count)


class _Networks(nn.Module):
    """A row of inputs to a row of outputs."""

    def __init__(self, networks: Sequence[nn.Module]):
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, inputs: Sequence[Any]) -> list[Any]:
        return [network(each) for network, each in zip(self.networks, inputs, strict=True)]


class _Each:
    """A task at work on each of several networks' outputs: the part of an objective, and of its totals, that an
    evaluation asks for.

    Attributes:
        found: the metrics of each, once all batches are added.
    """

    def __init__(self, objective: Objective, comparisons: Sequence[Comparison]):
        self._objective = objective
        self._totals: list[Totals] = []
        self.comparisons = comparisons
        self.answers = [Answers(objective) for _ in comparisons]
        self.found: list[Metrics] = []

    def judged(self, device: torch.device) -> _Each:
        self._totals = [self._objective.judged(device) for _ in self.comparisons]
        return self

    def plain_loss(self, outputs: Sequence[Any], targets: Any) -> tuple[Tensor, list[tuple[Tensor, Any]]]:
        """The loss of the first, and of each its loss and what is judged."""
        each = [self._objective.plain_loss(output, targets) for output in outputs]
        return each[0][0], each

    def add(self, loss: Tensor, judged: Sequence[tuple[Tensor, Any]], targets: Any) -> None:
        first = judged[0][1]
        for totals, comparison, (own, answer) in zip(self._totals, self.comparisons, judged, strict=True):
            totals.add(own, answer, targets)
            comparison.add(first, answer)

    def kept(self, judged: Sequence[tuple[Tensor, Any]], targets: Any) -> None:
        """See `loop.evaluate`, of a witness."""
        for answers, (_, answer) in zip(self.answers, judged, strict=True):
            answers(answer, targets)

    def metrics(self) -> Metrics:
        """Of the first."""
        self.found = [each.metrics() for each in self._totals]
        return self.found[0]
