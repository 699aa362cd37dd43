"""The typed shape of a configuration: what keys exist, of what type, with what limits.

Values live in ``configs/``; the dataclasses here have no defaults, so a composed config shows everything that a run
depends on. The groups with behaviour (data, task, augment, optim, schedule, transfer) are declared by a base class in
their package and filled by the subclass that their ``name`` chooses: the config *is* the object. It is frozen: what has
state is made from it. Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self

from cnntrain.augment.base import Augment
from cnntrain.config.ended import Ended
from cnntrain.config.generation import require_fitting_generation
from cnntrain.config.labels import require_fitting_labels, require_weights
from cnntrain.config.model import Model
from cnntrain.config.pictures import require_fitting_inputs, require_pictures, settled_format
from cnntrain.config.places import require_fitting_boxes, require_fitting_places
from cnntrain.config.reporting import Reporting
from cnntrain.core.limits import Count, Fraction, Inside, NotNegative, Place, Positive, Proportion, Whole
from cnntrain.core.paths import is_below
from cnntrain.core.words import printable, suggest
from cnntrain.data.base import Data
from cnntrain.optim.base import Optim
from cnntrain.schedule.base import Schedule
from cnntrain.tasks.base import LOSS, Task, is_better
from cnntrain.transfer.base import PartlyFrozen, Transfer


@dataclass(frozen=True)
class Lookahead:
    """Slow weights, between which and the trained ones training goes on (Zhang et al. 2019, arXiv:1907.08610)."""

    every: Count | None  # optimizer steps from one time to the next, and at an epoch's end; None: there are none
    start_epoch: Whole
    decay: Inside  # a step: of the slow weights decay^every stays, times the done part of the run to `power`
    power: NotNegative


@dataclass(frozen=True)
class Trainer:
    """How long, on what, and with which arithmetic."""

    epochs: Count
    max_steps: Count | None  # optimizer steps over the whole run; the run ends at whichever limit comes first
    device: Literal["auto", "cpu", "cuda"]
    precision: Literal["float32", "float64", "bfloat16", "float16"]
    memory_format: Literal["auto", "contiguous", "channels_last"]  # of images and filters
    tf32: bool  # on CUDA: products of float32 in 19 bits
    compile: Literal["off", "auto", "on"]  # torch.compile; auto: as tune finds
    tune: Literal["off", "auto"]  # whether layout, threads and compiling are chosen by a try
    cuda_graphs: bool  # on a GPU: forward and backward are recorded once and replayed
    grad_checkpointing: bool  # activations are computed again in the backward pass, which takes less memory
    grad_accum: Count  # micro-batches an optimizer step; the batch stays data.batch_size
    micro_batch: Literal["auto"] | Count | None  # images that a process computes with at once, at most
    clip_norm: Positive | None
    label_smoothing: Fraction
    class_weight: Literal["auto"] | dict[str, Any] | None  # how much classes count in the training loss
    ema_decay: Inside | None
    lookahead: Lookahead
    val_limit: Count | None  # validation images, at most, that an epoch is judged by
    early_stopping: Count | None  # epochs without a better checkpoint.metric
    deterministic: bool
    profile: bool  # some steps of the first epoch are recorded by torch's profiler
    watch: bool  # gradients, updates and activations of each epoch's first step, by layer
    log_every: Whole  # optimizer steps between two lines of metrics.jsonl within an epoch; 0: one line an epoch

    def __post_init__(self) -> None:
        if self.micro_batch is not None and self.grad_accum > 1:
            raise ValueError("micro_batch and grad_accum say the same in two ways: leave one of them out")
        require_weights(self.class_weight)
        others = {"compile=on": self.compile == "on", "grad_checkpointing=true": self.grad_checkpointing,
                  "grad_accum above 1": self.grad_accum > 1, "micro_batch": self.micro_batch is not None,
                  "device=cpu": self.device == "cpu"}  # fmt: skip
        wrong = [name for name, is_set in others.items() if is_set]
        if self.cuda_graphs and wrong:
            raise ValueError(f"cuda_graphs=true excludes {' and '.join(wrong)}: leave one of them out")
        if self.watch and (self.compile == "on" or self.cuda_graphs):
            raise ValueError("watch=true looks at each layer, which compile and cuda_graphs join: leave them off")

    def settled(self, data: Data, task: Task) -> Trainer:
        """As a run keeps it: what is left to a try that there will not be is off."""
        tries = self.tune == "auto" and not (self.watch or self.cuda_graphs or task.target == "boxes")
        compiles = "off" if self.compile == "auto" and not tries else self.compile
        return replace(self, memory_format=settled_format(data, self.memory_format), compile=compiles)


@dataclass(frozen=True)
class Checkpoint:
    """When the run is saved, and what makes a checkpoint the best."""

    every_steps: Count | None  # besides the ends of epochs
    time_share: Proportion  # of the run's time that writing at the ends of epochs may take
    keep: Count  # pairs of last and best; the newest damaged, a resume takes the one before
    metric: str | None  # one of the task's, of val; None: the first


@dataclass(frozen=True)
class Command:
    """The configuration of a command, and what it does: a subclass in a file of its own, with a YAML of its name.

    One that has a key ``devices`` runs in so many processes, on the device that `device_name` says. `words` are the
    keys that a command line may give without their names, in this order.
    """

    words: ClassVar[tuple[str, ...]] = ()

    def settled(self) -> Self:
        """With what one key decides for another.

        Raises:
            ValueError: they do not go together.
        """
        return self

    @property
    def device_name(self) -> Literal["auto", "cpu", "cuda"]:
        return "auto"

    def execute(self, typed: Sequence[str]) -> Ended:
        """Do it.

        Args:
            typed: the overrides of the command line.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class TrainConfig(Command):
    """What `cnntrain` runs. The order of the fields is the order of ``config.yaml`` in a run's folder."""

    seed: Whole
    devices: Count
    resume: Place | None
    name: str | None
    output: Place
    model: Model
    data: Data
    task: Task
    augment: Augment
    optim: Optim
    schedule: Schedule
    transfer: Transfer
    trainer: Trainer
    checkpoint: Checkpoint
    report: Reporting

    def __post_init__(self) -> None:
        if self.name and not is_below(self.name):
            raise ValueError(
                f"name={printable(self.name)} must be a folder inside {self.output}, such as pets/baseline"
            )
        shares = self.devices * self.trainer.grad_accum
        if self.data.batch_size % shares:
            raise ValueError(
                f"data.batch_size={self.data.batch_size} is the whole step's batch and cannot be shared equally by "
                f"devices={self.devices} x trainer.grad_accum={self.trainer.grad_accum}"
            )
        if self.transfer.side_by_side and (self.trainer.clip_norm is not None or self.trainer.precision == "float16"):
            raise ValueError(
                f"transfer={self.transfer.name} trains networks side by side, which trainer.clip_norm and "
                "trainer.precision=float16 would not leave independent: take clip_norm=null and bfloat16 or float32"
            )
        views = self.transfer.views if isinstance(self.transfer, PartlyFrozen) else None
        if views is not None and not self.augment.is_random:
            raise ValueError(
                f"transfer.views={views} means nothing with augment={self.augment.name}, which shows each image in one "
                "way: leave it out"
            )
        if views is not None and self.augment.mixes:
            raise ValueError(
                f"transfer.views={views} keeps images as they are seen alone: it goes with augment.mixup=0 and "
                "augment.cutmix=0"
            )
        require_fitting_generation(self.task, self.data, self.augment, self.transfer, self.trainer)
        data = self.data.learned(self.task.target)
        require_fitting_places(self.task, data, self.augment, self.transfer, self.trainer.class_weight)
        if self.task.target == "boxes":
            require_fitting_boxes(self.trainer)
        require_fitting_labels(self.task, data, self.transfer)
        require_fitting_inputs(self.augment, self.data, self.model, self.trainer.memory_format)
        require_pictures(self.augment, self.data)
        self._check_metrics()

    def _check_metrics(self) -> None:
        if self.checkpoint.metric is not None:
            self._check_metric("checkpoint.metric", self.checkpoint.metric, ["val"])
        watched = self.schedule.watched()
        if watched is None:
            return
        metric, greater = watched
        self._check_metric("schedule.metric", metric, ["val", "train"])
        column = self.task.column(metric)
        if column is not None and greater is not None and column.greater_is_better != greater:
            mode = "max" if greater else "min"
            raise ValueError(f"schedule.mode={mode} does not go with schedule.metric={metric}")

    def _check_metric(self, key: str, metric: str, parts: Sequence[str]) -> None:
        known = [
            f"{part}/{column.name}"
            for part in parts
            for column in self.task.columns
            if column.in_training or part != "train"
        ]
        if metric.startswith("test/"):
            raise ValueError(f"{key}={metric}: test is sealed, for what it chose it cannot judge: take val{metric[4:]}")
        name = metric.removeprefix("val/")
        if metric not in known and name in self.task.offered:
            raise ValueError(f"{key}={metric} needs that metric computed: add task.metrics=[{name}]")
        if metric not in known:
            raise ValueError(f"{key}={metric} must be one of {', '.join(known)}{suggest(metric, known)}")

    def settled(self) -> Self:
        first = f"val/{self.task.columns[0].name}"
        watched = self.schedule.watched()
        column = self.task.column(watched[0] if watched else first)
        assert column is not None, "checked"
        model, schedule = self.model.settled(self.transfer), self.schedule.watching(first, column.greater_is_better)
        checkpoint = replace(self.checkpoint, metric=self.checkpoint.metric or first)
        trainer = self.trainer.settled(self.data, self.task)
        task, data = self.task.settled(), self.data.learned(self.task.target)
        return replace(
            self, task=task, model=model, data=data, schedule=schedule, checkpoint=checkpoint, trainer=trainer
        )

    @property
    def device_name(self) -> Literal["auto", "cpu", "cuda"]:
        return self.trainer.device

    def is_better(self, values: Mapping[str, float], best: Mapping[str, float]) -> bool:
        """Whether an epoch's metrics are better than those of the best epoch so far; small validation parts often tie,
        and then the loss decides."""
        for metric in (self.checkpoint.metric, f"val/{LOSS}"):
            column = None if metric is None else self.task.column(metric)
            assert metric is not None and column is not None, "checked and settled with the configuration"
            if values[metric] != best[metric]:
                return is_better(column, values[metric], best[metric])
        return False
