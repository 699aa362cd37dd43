"""What is diagnosed, and what a check says of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from functools import cached_property
from math import inf, isfinite, log, log10
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

from cnntrain.config.schema import TrainConfig
from cnntrain.core import seeds
from cnntrain.transfer.freezing import frozen_modules

Status = Literal["ok", "suspicious", "wrong"]
OK: Status = "ok"
SUSPICIOUS: Status = "suspicious"
WRONG: Status = "wrong"
BATCH = 64  # images of a step of a trial, at most
LAST = 4  # the loss that a trial reached is the mean of its last quarter


@dataclass(frozen=True)
class Finding:
    """Attributes:
    saw: the numbers that it judges by, in words.
    advice: which key to change, and how; empty where all is well.
    numbers: the same for scripts.
    """

    check: str
    status: Status
    saw: str
    advice: str = ""
    numbers: dict[str, Any] = field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Sample:
    """Some of a part's images as the network sees them, without augmentation.

    Attributes:
        images: [n, channels, height, width], normalised.
        labels: int64 [n].
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def shuffled(self) -> Sample:
        """The same images with one another's labels."""
        order = torch.randperm(len(self), generator=seeds.generator("diagnosis", "labels"))
        return Sample(self.images, self.labels[order.to(self.labels.device)])

    def first(self, count: int) -> Sample:
        return Sample(self.images[:count], self.labels[:count])

    def batches(self, steps: int, batch: int) -> list[Sample]:
        """So many batches, over and over in one order that is drawn for each pass."""
        found: list[Sample] = []
        size, number = min(batch, len(self)), 0
        while len(found) < steps:
            order = torch.randperm(len(self), generator=seeds.generator("diagnosis", "order", number))
            order, number = order.to(self.labels.device), number + 1
            found += [Sample(self.images[each], self.labels[each]) for each in order.split(size) if len(each) == size]
        return found[:steps]


@dataclass(frozen=True)
class Fitted:
    """A network that was trained for some steps.

    Attributes:
        losses: the training loss before each step.
    """

    network: nn.Module
    losses: list[float]

    @property
    def first(self) -> float:
        return self.losses[0]

    @property
    def reached(self) -> float:
        """The mean of the last losses; infinite where one is no number."""
        last = self.losses[-max(1, len(self.losses) // LAST) :]
        return sum(last) / len(last) if all(map(isfinite, last)) else inf


@dataclass(frozen=True)
class Scan:
    """Trials at several rates.

    Attributes:
        first: the loss before their first step.
        reached: by rate, the loss that its trial reached.
        rate, network, steps: of the trial that learned most.
    """

    first: float
    reached: dict[float, float]
    rate: float
    network: nn.Module
    steps: int


class Fit(Protocol):
    def __call__(self, batches: Sequence[Sample], lr: float, enough: float = 0.0) -> Fitted:
        """A copy of the initial network, trained by the run's own optimizer at a constant rate, until the loss is
        `enough` at most or no number."""
        ...


@dataclass
class Subject:
    """What the checks look at.

    Attributes:
        classes: how many.
        count: training images.
        steps_per_epoch, total_steps: of the run.
        initial: the network before its first step; `trained` the best epoch's, where there is a run.
        train, val: samples of the parts.
        fit: see `Fit`.
        loss: what training minimises, of a network, images and labels.
        steps: of each trial.
        errors: shares of wrong answers of the trained network by part, and over how many images.
    """

    config: TrainConfig
    classes: int
    count: int
    steps_per_epoch: int
    total_steps: int
    initial: nn.Module
    trained: nn.Module | None
    train: Sample
    val: Sample
    fit: Fit
    loss: Callable[[nn.Module, Tensor, Tensor], Tensor]
    steps: int
    errors: dict[str, tuple[float, int]] = field(default_factory=dict)

    @property
    def chance(self) -> float:
        """The loss of answers that are all equally likely: ln(classes)."""
        return log(self.classes)

    @property
    def loads_weights(self) -> bool:
        return bool(self.config.model.pretrained) or self.config.model.weights is not None

    def trial(self, sample: Sample, lr: float, times: int = 1) -> Fitted:
        return self.fit(sample.batches(times * self.steps, min(BATCH, self.config.data.batch_size)), lr)

    @cached_property
    def scan(self) -> Scan:
        """Trials at the run's rate and at powers of ten of it.

        Where none learns, at rates from 1e-5 to 1, too; and where none does then, at the run's and its tenfold again,
        for longer: many nets begin slowly.
        """
        own = self.config.optim.lr
        best = self.trial(self.train, own)
        rate, first, reached = own, best.first, {own: best.reached}
        factors = [(own * 10.0**power, 1) for power in (-2, -1, 1, 2)]
        typical = [(10.0**power, 1) for power in range(-5, 1)]
        for number, (other, times) in enumerate([*factors, *typical, (own, LONGER), (10 * own, LONGER)]):
            if number >= len(factors) and best.reached <= (1 - LEARNS) * first:
                break
            if (other, times) in typical and _is_near(other, reached):
                continue
            tried = self.trial(self.train, other, times)
            reached[other] = min(tried.reached, reached.get(other, inf))
            if tried.reached < best.reached:
                rate, best = other, tried
        return Scan(first, dict(sorted(reached.items())), rate, best.network, len(best.losses))

    def fresh(self) -> nn.Module:
        """A copy of the initial network, as it is trained."""
        return train_mode(deepcopy(self.initial))


LONGER = 8  # times the steps of a trial
LEARNS = 0.05  # of the first loss is what a trial must lose at least to have learned


def _is_near(rate: float, others: Iterable[float]) -> bool:
    """Whether one of them is less than half a power of ten away."""
    return any(abs(log10(rate / other)) < 0.5 for other in others)


def train_mode(network: nn.Module) -> nn.Module:
    """The network as it is trained: what is frozen stays in evaluation mode."""
    network.train()
    for module in frozen_modules(
        network, {name for name, p in network.named_parameters() if not p.requires_grad}
    ).values():
        module.training = False
    return network


@torch.no_grad()
def accuracy(network: nn.Module, sample: Sample) -> float:
    """The share of right answers, in the mode in which the network is."""
    right = [
        (logits(network(images)).argmax(1) == labels).sum()
        for images, labels in zip(sample.images.split(BATCH), sample.labels.split(BATCH), strict=True)
    ]
    return int(torch.stack(right).sum()) / len(sample)


def logits(outputs: Tensor | tuple[Tensor, ...]) -> Tensor:
    """The main ones, [batch, classes], of a network that may have auxiliary heads."""
    return outputs[0] if isinstance(outputs, tuple) else outputs
