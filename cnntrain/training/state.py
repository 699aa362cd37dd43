"""Every object with state: the only thing that a checkpoint is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from timm.utils import ModelEmaV3
from torch import nn

from cnntrain.core import dist
from cnntrain.core.errors import InputError, RunError
from cnntrain.schedule.base import Course
from cnntrain.training.lookahead import Lookahead
from cnntrain.training.progress import Progress
from cnntrain.transfer.base import Transfer
from cnntrain.transfer.freezing import Freezing

# what torch's own loading raises, of whatever content
MISFITS = (RuntimeError, ValueError, LookupError, TypeError, AttributeError)


@dataclass
class State:
    """What a run continues from, and what an evaluation needs.

    Attributes:
        model: raw, never wrapped by DDP, so its keys are the architecture's.
        about: plain values that do not change: config, classes, preprocess, ...
    """

    model: nn.Module
    ema: ModelEmaV3 | None
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    schedule: Course
    policy: Transfer
    freezing: Freezing
    progress: Progress
    about: Mapping[str, Any]
    lookahead: Lookahead | None = None

    @property
    def eval_model(self) -> nn.Module:
        """The weights that are validated, tested and kept as the best."""
        return self.ema.module if self.ema is not None else self.model

    def state_dict(self) -> dict[str, Any]:
        """All that an exact resume needs, and all that an evaluation needs, as tensors and plain values."""
        return {
            **self.about,
            "progress": asdict(self.progress),
            "model": self.model.state_dict(),
            "ema": self.ema.module.state_dict() if self.ema is not None else None,
            "lookahead": self.lookahead.state_dict() if self.lookahead is not None else None,
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "transfer": self.policy.state_dict(),
            "frozen": sorted(self.freezing.names),
            "scaler": self.scaler.state_dict(),
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Continue where `saved` was saved.

        Raises:
            InputError: it is the state of another model, optimizer or data set.
        """
        if saved["classes"] != self.about["classes"]:
            raise InputError(f"the data's classes {self.about['classes']} are not the run's {saved['classes']}")
        try:
            self.model.load_state_dict(saved["model"])
            if self.ema is not None:
                self.ema.module.load_state_dict(saved["ema"] or saved["model"])
            if self.lookahead is not None:
                self.lookahead.load_state_dict(saved.get("lookahead"))
            self._load_optimizer(saved["optimizer"])
            self.schedule.load_state_dict(saved["schedule"])
            before = (set(saved["frozen"]), saved["config"]["trainer"]["precision"])
            if saved["scaler"]:  # empty where the precision needed none
                self.scaler.load_state_dict(saved["scaler"])
            self.progress = Progress.of(saved["progress"])
        except MISFITS as error:
            raise InputError(f"the checkpoint does not fit this configuration: {error}") from error
        # of another batch size: an epoch under way goes on at the same sample, or just before it
        here = self.progress.step_in_epoch * saved["batch_size"] // self.about["batch_size"]
        self.progress.step_in_epoch = min(here, self.about["steps_per_epoch"])
        self.freezing.apply(self.progress.phase)
        self._average_what_stands_still()
        if before != (self.freezing.names, self.about["config"]["trainer"]["precision"]):
            self.progress.hash_start = self.freezing.digest()  # resume= changed what is frozen, or its type

    def _load_optimizer(self, saved: dict[str, Any]) -> None:
        """What was configured stays: resume= may have changed it."""
        groups = self.optimizer.param_groups
        configured = [{k: v for k, v in group.items() if k not in ("params", "lr")} for group in groups]
        self.optimizer.load_state_dict(saved)
        for group, settings in zip(self.optimizer.param_groups, configured, strict=True):
            group.update(settings)

    def _average_what_stands_still(self) -> None:
        """What is frozen now may have been trained before."""
        if self.lookahead is not None:
            self.lookahead.take(self.freezing.values())
        if self.ema is None:
            return
        average = {**dict(self.ema.module.named_parameters()), **dict(self.ema.module.named_buffers())}
        for name, value in self.freezing.values().items():
            average[name].data.copy_(value)

    def share_buffers(self) -> None:
        """Give every rank the first one's BatchNorm statistics before they evaluate."""
        dist.share_buffers(self.model)
        if self.lookahead is not None:
            self.lookahead.take(name for name, _ in self.model.named_buffers())
        if self.ema is not None:
            dist.share_buffers(self.ema.module)

    def begin_phase(self) -> None:
        """Freeze what the policy freezes in this epoch, after the proof that what it froze before stood still."""
        self.prove_frozen()
        self.freezing.apply(self.progress.epoch)
        self.progress.phase, self.progress.hash_start = self.progress.epoch, self.freezing.digest()

    def prove_frozen(self) -> str:
        """The digest of what is frozen, which is what it was at the start of the phase.

        Raises:
            RunError: it is not.
        """
        found = self.freezing.digest()
        if found != self.progress.hash_start:
            raise RunError(
                "frozen parameters or buffers have changed during the run: this is a bug of cnntrain, report it"
            )
        return found
