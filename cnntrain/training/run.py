"""A training run: its parts, and the few verbs that the loop speaks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from math import ceil
from typing import Any

import torch

from cnntrain.config.ended import Prune
from cnntrain.config.schema import TrainConfig
from cnntrain.core import dist, seeds
from cnntrain.core.stopping import heed
from cnntrain.data.batches.feed import Batch
from cnntrain.data.sets.dataset import DataSet
from cnntrain.runs.report import Moment, Report
from cnntrain.tasks.base import Metrics, Objective
from cnntrain.training.graphs import Recorded
from cnntrain.training.loaders import Loaders
from cnntrain.training.poll import Poll
from cnntrain.training.profiling import Profiler
from cnntrain.training.saver import Saver
from cnntrain.training.soundness import EARLY, is_sound, nothing_learned, require_sound
from cnntrain.training.state import State
from cnntrain.training.step import Step
from cnntrain.training.tally import Tally
from cnntrain.training.usage import Usage
from cnntrain.training.watching import Watcher
from cnntrain.transfer.frozen import phase as phases
from cnntrain.transfer.frozen.around import Around


@dataclass
class Run:
    """What `build` makes and `fit` drives.

    Attributes:
        macs: multiply-adds of one image.
        profiler: records some of the batches, where that is asked for.
        watcher: looks at the first step of each epoch, where that is asked for.
        around: what the frozen part is given, made of a function that shows a line, and of `heed`.
        heed: raises StopError where a signal came; all ranks call it equally often.
        prune: is told each epoch's value of ``checkpoint.metric``, and says whether the run may end there.
        pruned: whether it has ended so.
    """

    config: TrainConfig
    data: DataSet
    device: torch.device
    state: State
    step: Step
    objective: Objective
    loaders: Loaders
    precision: AbstractContextManager[Any]
    macs: int
    notes: Sequence[str]  # on how its weights were read
    around: Callable[[Callable[[str], None], Callable[[], None]], Around]
    usage: Usage
    heed: Callable[[], None] = heed
    profiler: Profiler | None = field(default=None, init=False)
    prune: Prune | None = field(default=None, init=False)
    pruned: bool = field(default=False, init=False)
    watcher: Watcher | None = field(default=None, init=False)
    phase: phases.Phase | None = field(default=None, init=False)
    tally: Tally = field(init=False)
    poll: Poll = field(init=False)

    def __post_init__(self) -> None:
        self.tally, self.poll = self._tally(), Poll(self.device)

    @property
    def ended(self) -> bool:
        """Whether the last epoch or step is done, or patience is out; never within an epoch: its validation is due."""
        progress, patience = self.state.progress, self.config.trainer.early_stopping
        return (self.step.left == 0 or progress.is_stale(patience) or self.pruned) and not progress.step_in_epoch

    @property
    def epochs_left(self) -> int:
        """That are begun before the run ends."""
        return ceil(self.step.left / self.step.steps_per_epoch)

    def moment(self) -> Moment:
        """Where the run stands, for people."""
        epoch, in_epoch = self.state.progress.epoch, self.state.progress.step_in_epoch
        return Moment(epoch, self.step.epochs, in_epoch, self.step.steps_per_epoch, self.step.rate(), self.tally.rate())

    def _tally(self) -> Tally:
        progress = self.state.progress
        ids = partial(self.loaders.step_ids, progress.epoch)
        return Tally(self.objective, self.device, progress, ids)

    def begin_epoch(self, report: Report, saver: Saver) -> phases.Phase:
        """Freeze what the policy freezes in this epoch; everything else goes to training mode.

        Raises:
            StopError: a signal came while the frozen part was computed.
        """
        state, progress = self.state, self.state.progress
        if state.freezing.planned(progress.epoch) != state.freezing.names:
            saver.settle()
            state.begin_phase()
            self.phase = None
        if self.phase is None:
            around = self.around(report.say, self.heed)
            self.phase = phases.begin(state.model, state.eval_model, state.freezing, around, progress.kept)
            if self.config.trainer.compile == "on":
                self.phase.compile()
            progress.kept = self.phase.remembered
            progress.seconds += self.phase.seconds
            self.loaders.hold(self.phase.reads, self.epochs_left, report.say, self.heed)
            if self.config.trainer.cuda_graphs:
                self._record(self.phase)
        state.freezing.train_mode()
        self.tally = self._tally()
        return self.phase

    def _record(self, phase: phases.Phase) -> None:
        self.state.freezing.train_mode()
        plan = self.loaders.train_plan(self.state.progress.epoch)
        (batch,) = phase.train.batches(plan[:1])
        phase.network = Recorded(phase.network, batch.inputs, self.precision)

    def train_batches(self, phase: phases.Phase) -> Iterator[Batch]:
        """The micro-batches of the rest of the epoch; seeds what the model draws in each of them."""
        progress, share = self.state.progress, self.loaders.share
        plan = self.loaders.train_plan(progress.epoch, progress.step_in_epoch, self.step.left)
        batches = progress.timed(phase.train, plan, share.ranks)
        if self.watcher is not None and not progress.step_in_epoch:
            batches = self.watcher(batches, share.pieces)
        for number, batch in enumerate(batches if self.profiler is None else self.profiler(batches, len(plan))):
            piece = number % share.pieces
            dist.sync_gradients(phase.network, on=piece == share.pieces - 1)
            seeds.seed_step(self.config.seed, "step", progress.step, piece, share.rank)
            yield batch
        with progress.counted():  # a GPU has yet to do what it was given
            self.tally.require_sound(self.moment())

    def step_done(self, report: Report, saver: Saver) -> None:
        """After each optimizer step: log and save.

        Raises:
            StopError: a signal came.
            RunError: the loss is no number, or a checkpoint could not be written.
        """
        self.usage.step_done()
        step, log, save = self.state.progress.step, self.config.trainer.log_every, self.config.checkpoint.every_steps
        if log and step % log == 0:
            report.log(step, {"train/loss": self.tally.totals.metrics()["loss"], "lr": self.step.rate()})
        report.step_done(self.moment(), self.tally.totals.mean_loss)
        if save and step % save == 0:
            saver.begin_write(self.tally.sums(self.moment()))
        if self.poll():
            self.tally.require_sound(self.moment())
            saver.check()
            self.heed()

    def end_epoch(self, train: Metrics, val: Metrics, report: Report, saver: Saver) -> None:
        """Note an epoch's metrics: schedule, early stopping, report, checkpoints."""
        progress, config = self.state.progress, self.config
        values = {**train.of("train"), **val.of("val"), "lr": self.step.rate()}
        improved = is_sound(values) and (progress.best is None or config.is_better(values, progress.best))
        progress.end_epoch(values, improved)
        note = self.state.schedule.observe(progress.epoch, values)
        report.epoch_done(progress.step, self.moment(), values, improved, note)
        require_sound(values, self.moment())
        even = config.data.balance or config.trainer.class_weight is not None  # what is frequent does not matter then
        if progress.epoch == EARLY and not self.ended and not even:  # at its end a run says so anyway
            line = nothing_learned(config.task, self.data, values, saver.folder)
            if line is not None:
                report.say(line)
        saver.epoch_done(improved)
        if self.prune is not None and not self.ended:
            assert config.checkpoint.metric is not None, "settled with the configuration"
            self.pruned = self.prune(progress.epoch, values[config.checkpoint.metric])
