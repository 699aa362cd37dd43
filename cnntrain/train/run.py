"""A training run: every object with state, reachable from one place, and the few verbs that the loop speaks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from timm.utils import ModelEmaV3
from torch import Tensor, nn

from cnntrain.config.schema import TrainConfig
from cnntrain.core import dist, seeds, signals
from cnntrain.core.digest import digest
from cnntrain.core.errors import InputError, RunError
from cnntrain.data.batches.plan import Plan, eval_plan, train_plan
from cnntrain.data.batches.samples import Batch
from cnntrain.data.sets.dataset import DataSet
from cnntrain.runs.report import Report
from cnntrain.schedule.base import Position
from cnntrain.tasks.classify.criterion import Criterion
from cnntrain.tasks.classify.metrics import Totals
from cnntrain.train.precision import autocast
from cnntrain.train.progress import Progress
from cnntrain.train.saver import Saver
from cnntrain.transfer.freezing import Freezing
from cnntrain.transfer.frozen import phase

if TYPE_CHECKING:
    from cnntrain.train.loaders import Loaders


@dataclass
class Run:
    """What `build.build` makes and `loop.fit` drives."""

    config: TrainConfig
    data: DataSet
    device: torch.device
    model: nn.Module  # raw: never wrapped by DDP, so its keys are the architecture's
    freezing: Freezing
    optimizer: torch.optim.Optimizer
    criterion: Criterion
    loaders: Loaders
    macs: int
    folder: Path = Path()  # set when the run is known to be sound
    report: Report = field(default_factory=Report)
    progress: Progress = field(default_factory=Progress)

    def __post_init__(self) -> None:
        trainer = self.config.trainer
        self.division: phase.Division | None = None  # made by `begin_epoch`
        self.ema = ModelEmaV3(self.model, decay=trainer.ema_decay) if trainer.ema_decay else None
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=trainer.precision == "float16")
        self.totals = Totals(self.device)
        self.precision = autocast(trainer.precision, self.device)
        self.steps_per_epoch = len(self.data.train) // self.loaders.batch_size
        self.total_steps = trainer.epochs * self.steps_per_epoch
        if trainer.max_steps is not None:
            self.total_steps = min(self.total_steps, trainer.max_steps)
        self.pieces_done = 0
        self.saver = Saver(self)
        self.progress.hash_start = self.frozen_hash()

    @property
    def eval_model(self) -> nn.Module:
        """The weights that are validated, tested and kept as the best."""
        return self.ema.module if self.ema is not None else self.model

    @property
    def done(self) -> bool:
        """Whether the run has ended: at its last step, or early; never within an epoch, whose validation is due."""
        progress, patience = self.progress, self.config.trainer.early_stopping
        if progress.step_in_epoch:
            return False
        return progress.step >= self.total_steps or (patience is not None and progress.epochs_since_best >= patience)

    @property
    def network(self) -> nn.Module:
        """What is trained on the batches of `train_batches`: the model, or the part of it that is not frozen."""
        assert self.division is not None, "begin_epoch comes first"
        return self.division.network

    @property
    def eval_network(self) -> nn.Module:
        """What is validated on the batches of `val_batches`."""
        assert self.division is not None, "begin_epoch comes first"
        return self.division.eval_network

    def begin_epoch(self) -> bool:
        """Freeze what the policy freezes in this epoch; everything else goes to training mode.

        Returns:
            False where a signal came while the frozen part was computed.
        """
        self._begin_phase()
        self.division = self.division or phase.divide(self)
        self.freezing.train_mode()
        self.totals = Totals(self.device)
        if self.progress.sums is not None:
            self.totals.load(self.progress.sums)
        return self.division is not None

    def _begin_phase(self) -> None:
        """Where something else is frozen than before: the proof of what was, and the start of the next one."""
        progress = self.progress
        if self.freezing.planned(progress.epoch) == self.freezing.names:
            return
        self.prove_frozen()
        self.saver.settle()
        self.freezing.apply(progress.epoch)
        self.division = None
        progress.phase, progress.hash_start = progress.epoch, self.frozen_hash()

    def train_batches(self) -> Iterator[Batch]:
        """The micro-batches of the rest of the epoch; seeds what the model draws in each of them."""
        config, progress, share = self.config, self.progress, self.loaders.share
        plan = train_plan(len(self.data.train), self.loaders.batch_size, config.seed, progress.epoch, share)
        last = progress.step_in_epoch + max(0, self.total_steps - progress.step)
        plan = plan[progress.step_in_epoch * share.pieces : last * share.pieces]
        assert self.division is not None, "begin_epoch comes first"
        source = self.division.train
        start, waited = time.perf_counter(), source.waited
        for number, batch in enumerate(source.batches(plan)):
            piece = number % share.pieces
            dist.sync_gradients(self.network, on=piece == share.pieces - 1)
            seeds.seed_step(config.seed, "step", progress.step, piece, share.rank)
            yield batch
            progress.seconds += time.perf_counter() - start
            progress.data_wait += source.waited - waited
            progress.images += len(batch[1]) * share.ranks
            start, waited = time.perf_counter(), source.waited

    def step(self, loss: Tensor) -> bool:
        """Backward of the loss, or of the sum of several; with a step's last micro-batch the update.

        Returns:
            Whether there was one.
        """
        pieces = self.loaders.share.pieces
        self.scaler.scale(loss.sum() / pieces).backward()
        self.pieces_done = (self.pieces_done + 1) % pieces
        if self.pieces_done:
            return False
        self._set_rates()
        if self.config.trainer.clip_norm is not None:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.model.parameters(), self.config.trainer.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        if self.ema is not None:
            self.ema.update(self.model)
        self.progress.step += 1
        self.progress.step_in_epoch += 1
        return True

    def _set_rates(self) -> None:
        position = Position(self.progress.step, self.steps_per_epoch, self.total_steps)
        multiplier = self.config.transfer.rate_multiplier(self.progress.epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.schedule.rate(group["base_lr"], position) * multiplier

    def rate(self) -> float:
        """The learning rate of the last step, of the body where it has one of its own."""
        return self.optimizer.param_groups[0]["lr"]

    def val_batches(self) -> Iterator[Batch]:
        """This rank's batches for `eval_network`: over all ranks each sample of val once."""
        assert self.division is not None, "begin_epoch comes first"
        return self.division.val.batches(self._eval_plan("val"))

    def eval_batches(self, part: str) -> Iterator[Batch]:
        """This rank's batches of images of val or test, for `eval_model`: over all ranks each sample once."""
        return getattr(self.loaders, part).batches(self._eval_plan(part))

    def _eval_plan(self, part: str) -> Plan:
        return eval_plan(len(getattr(self.data, part)), self.loaders.batch_size, self.loaders.share)

    def stop_requested(self) -> bool:
        """Whether any rank was told to stop; all ranks agree, so all stop after the same step."""
        return dist.any_rank(signals.received() is not None)

    def end_epoch(self, train: dict[str, float], val: dict[str, float]) -> None:
        """Note an epoch's metrics: schedule, early stopping, report, checkpoints."""
        progress, config = self.progress, self.config
        values = {f"train/{k}": v for k, v in train.items() if k != "count"}
        values |= {f"val/{k}": v for k, v in val.items() if k != "count"}
        values["lr"] = self.rate()
        progress.epoch += 1
        progress.step_in_epoch, progress.sums = 0, None
        improved = progress.best is None or config.checkpoint.is_better(values, progress.best)
        if improved:
            progress.best = {"epoch": progress.epoch, "step": progress.step, **values}
        progress.epochs_since_best = 0 if improved else progress.epochs_since_best + 1
        note = config.schedule.observe(progress.epoch, values)
        self.report.epoch_done(self, values, improved, note)
        if not isfinite(values["train/loss"]):
            dist.from_first(self.saver.fail)
            raise RunError(f"the training loss is {values['train/loss']} after epoch {progress.epoch}: lower optim.lr")
        self.saver.epoch_done(improved)

    def save(self) -> None:
        """Write last.ckpt and best.ckpt now; all ranks call this."""
        self.saver.write()

    def save_if_due(self) -> None:
        """Write every ``checkpoint.every_steps`` steps."""
        every = self.config.checkpoint.every_steps
        if every and self.progress.step % every == 0:
            self.save()

    def share_buffers(self) -> None:
        """Give every rank the first one's BatchNorm statistics before they evaluate."""
        dist.share_buffers(self.model)
        if self.ema is not None:
            dist.share_buffers(self.ema.module)

    def state_dict(self) -> dict[str, Any]:
        """All that an exact resume needs, and all that an evaluation needs, as tensors and plain values."""
        return {
            "config": {**asdict(self.config), "resume": None},
            "classes": self.data.classes,
            "fingerprint": self.data.fingerprint,
            "preprocess": asdict(self.loaders.preprocess),
            "small_stem": getattr(self.model, "small_stem", False),
            "progress": asdict(self.progress),
            "model": self.model.state_dict(),
            "ema": self.ema.module.state_dict() if self.ema is not None else None,
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.config.schedule.state_dict(),
            "transfer": self.config.transfer.state_dict(),
            "frozen": sorted(self.freezing.names),
            "scaler": self.scaler.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state` was saved.

        Raises:
            InputError: it is the state of another model, optimizer or data set.
        """
        if state["classes"] != self.data.classes:
            raise InputError(f"the data's classes {self.data.classes} are not the run's {state['classes']}")
        try:
            self.model.load_state_dict(state["model"])
            if self.ema is not None:
                self.ema.module.load_state_dict(state["ema"] or state["model"])
            configured = [
                {k: v for k, v in g.items() if k not in ("params", "lr")} for g in self.optimizer.param_groups
            ]
            self.optimizer.load_state_dict(state["optimizer"])
            was = (set(state["frozen"]), state["config"]["trainer"]["precision"])
        except (RuntimeError, ValueError, KeyError) as error:
            raise InputError(f"the checkpoint does not fit this configuration: {error}") from error
        for group, settings in zip(self.optimizer.param_groups, configured, strict=True):
            group.update(settings)  # resume= may have changed them
        config = self.config
        config.schedule.load_state_dict(state["schedule"])
        if state["scaler"]:  # empty where the precision needed none
            self.scaler.load_state_dict(state["scaler"])
        self.progress = Progress(**state["progress"])
        self.saver.written = asdict(self.progress)
        self.freezing.apply(self.progress.phase)
        if self.ema is not None:  # what is frozen now may have been trained before
            average = {**dict(self.ema.module.named_parameters()), **dict(self.ema.module.named_buffers())}
            for name, value in self.freezing.values().items():
                average[name].data.copy_(value)
        if was != (self.freezing.names, config.trainer.precision):
            self.progress.hash_start = self.frozen_hash()  # resume= changed what is frozen, or its type

    def prove_frozen(self) -> str:
        """The digest of what is frozen, which is what it was at the start of the phase.

        Raises:
            RunError: it is not.
        """
        found = self.frozen_hash()
        if found != self.progress.hash_start:
            raise RunError(
                "frozen parameters or buffers have changed during the run: this is a bug of cnntrain, report it"
            )
        return found

    def frozen_hash(self) -> str:
        """Digest of every frozen parameter and of the buffers of frozen modules."""
        return digest(self.freezing.values())
