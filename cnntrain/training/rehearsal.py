"""Training steps of a copy of a run's network, by which its arithmetic is chosen."""

from __future__ import annotations

import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import nn

from cnntrain.config.schema import TrainConfig
from cnntrain.core import dist
from cnntrain.data.batches.preprocess import Preprocess
from cnntrain.optim.groups import parameter_groups
from cnntrain.training.graphs import Recorded
from cnntrain.training.precision import autocast, memory_format, place
from cnntrain.transfer.base import Transfer
from cnntrain.transfer.freezing import Freezing

Layout = Literal["auto", "contiguous", "channels_last"]


@dataclass(frozen=True)
class Plan:
    """What a run will do, as far as its speed depends on it.

    Attributes:
        model: in its place; it is copied.
        policy: what is frozen in the first epoch is frozen in a try.
        batch_size: samples of a step.
        steps: to the end of the run.
    """

    config: TrainConfig
    model: nn.Module
    policy: Transfer
    seen: Preprocess
    classes: int
    device: torch.device
    batch_size: int
    steps: int

    @property
    def share(self) -> int:
        """Samples of a step on this rank."""
        return self.batch_size // dist.world_size()


class Rehearsal:
    """Training steps on made-up images, of a copy of the network: nothing of the run is touched."""

    def __init__(self, plan: Plan, count: int, layout: Layout):
        """Args:
        count: images at once.
        layout: a value of ``trainer.memory_format``.
        """
        trainer = replace(plan.config.trainer, memory_format=layout)
        self.device, self.precision = plan.device, autocast(trainer.precision, plan.device)
        self.model = deepcopy(plan.model)
        place(self.model, trainer, plan.device)
        freezing = Freezing(self.model, plan.policy)
        freezing.train_mode()
        rates = plan.policy.rate_multipliers(self.model, freezing.head)
        groups = parameter_groups(self.model, plan.config.optim, rates, plan.policy.decay_multipliers(self.model))
        self.optimizer = plan.config.optim.build(groups)
        self.objective = plan.config.task.start(trainer.label_smoothing, plan.config.model.aux_weight)
        dtype = next(self.model.parameters()).dtype
        images = torch.rand(count, *plan.seen.shape, dtype=dtype, device=plan.device)
        self.images = images.contiguous(memory_format=memory_format(trainer, plan.device))
        self.targets = plan.config.task.made_up(count, plan.classes, plan.seen.image_size, plan.device)
        self.network: Callable[[Any], Any] = self.model

    def compile(self) -> None:
        self.network = torch.compile(self.model)

    def record(self) -> None:
        """Raises ConfigError where the network cannot be recorded."""
        self.network = Recorded(self.model, self.images, self.precision)

    def step(self, times: int = 1) -> float:
        """So many updates, one right after the other; returns the seconds that one took."""
        start = time.perf_counter()
        for _ in range(times):
            with self.precision:
                loss, _ = self.objective.loss(self.network(self.images), self.targets)
            loss.sum().backward()
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return (time.perf_counter() - start) / times
