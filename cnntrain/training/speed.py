"""How fast a run trains, and what limits it: its parts timed alone and together, one after the other in each round."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from statistics import median

import torch

from cnntrain.core import dist
from cnntrain.data.batches.feed import Batch, Feed
from cnntrain.data.batches.plan import Plan
from cnntrain.runs.report import Report
from cnntrain.training.loop import train_epoch
from cnntrain.training.run import Run
from cnntrain.training.saver import Saver
from cnntrain.transfer.frozen.phase import Phase

NEAR = 0.95  # of the bare step's speed: then nothing but the step limits


@dataclass
class Speed:
    """Images a second over all ranks, medians over the rounds.

    Attributes:
        data: read, augmented and brought to the device, without a network.
        step: forward, loss, backward and update, of batches that are ready.
        training: the loop as a run has it.
        ratio: of training to step, the median of the rounds' own.
        waiting: the share of training in which the loop waits for its next batch, augmentation included.
    """

    data: float
    step: float
    training: float
    ratio: float
    waiting: float

    @property
    def limit(self) -> str:
        """What takes the largest share of the time beside the bare step, or the step where hardly any is left."""
        if self.ratio >= NEAR:
            return "step"
        return "data" if self.waiting >= 1 - self.ratio - self.waiting else "loop"


@dataclass
class _Clocked:
    """A feed with a clock around its iterator."""

    feed: Feed
    seconds: float = field(default=0.0, init=False)

    @property
    def waited(self) -> float:
        return self.feed.waited

    def batches(self, plan: Plan) -> Iterator[Batch]:
        source = self.feed.batches(plan)
        while True:
            start = time.perf_counter()
            batch = next(source, None)
            self.seconds += time.perf_counter() - start
            if batch is None:
                return
            yield batch


def measure(run: Run, report: Report, saver: Saver, steps: int, rounds: int) -> Speed:
    """Time the first steps of an epoch; the weights stay what they were, since every rate is 0.

    Args:
        steps: of a round, at most those of an epoch.
        rounds: after one that warms up.
    """
    steps = min(steps, run.step.steps_per_epoch)
    for group in run.state.optimizer.param_groups:
        group["base_lr"] = 0.0
    run.step.epochs = 2**31  # it ends when it has been measured
    phase = run.begin_epoch(report, saver)
    pieces = run.loaders.share.pieces
    plan = run.loaders.train_plan(0)[: steps * pieces]
    ready = list(phase.train.batches(plan[:pieces]))
    feed = phase.train = _Clocked(phase.train)
    found: list[tuple[float, float, float]] = []
    waiting: list[float] = []
    for number in range(rounds + 1):
        data = _rate(run, lambda: sum(batch.count for batch in feed.batches(plan)))
        step = _rate(run, lambda: _compute(run, phase, ready * steps))
        feed.seconds, start = 0.0, time.perf_counter()
        training = _rate(run, lambda: _train(run, phase, report, saver, steps))
        if number:
            waiting.append(feed.seconds / (time.perf_counter() - start))
            found.append((data, step, training))
    ratio = median(training / step for _, step, training in found)
    data, step, training = (median(each) for each in zip(*found, strict=True))
    return Speed(data, step, training, ratio, median(waiting))


def _rate(run: Run, work: Callable[[], int]) -> float:
    """Images a second over all ranks.

    Args:
        work: returns how many images it was on this rank.
    """
    _wait(run)
    start = time.perf_counter()
    images = work()
    _wait(run)
    return images * run.loaders.share.ranks / (time.perf_counter() - start)


def _wait(run: Run) -> None:
    """Until the device has done what it was given, on all ranks."""
    if run.device.type == "cuda":
        torch.cuda.synchronize(run.device)
    dist.barrier()


def _compute(run: Run, phase: Phase, batches: list[Batch]) -> int:
    for number, batch in enumerate(batches, 1):
        dist.sync_gradients(phase.network, on=number % run.loaders.share.pieces == 0)
        with run.precision:
            loss, _ = run.objective.loss(phase.network(batch.inputs), batch.targets)
        run.step(loss)
    return sum(batch.count for batch in batches)


def _train(run: Run, phase: Phase, report: Report, saver: Saver, steps: int) -> int:
    """The first steps of the next epoch."""
    progress = run.state.progress
    progress.epoch, progress.step_in_epoch = progress.epoch + 1, 0
    run.step.max_steps = progress.step + steps
    before = progress.images
    run.begin_epoch(report, saver)
    train_epoch(run, phase, report, saver)
    return (progress.images - before) // run.loaders.share.ranks
