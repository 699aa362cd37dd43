"""Why a run ends: what is done, what holds, or a loss that is no number any more."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite

from torch import nn

from cnntrain.config.schema import TrainConfig
from cnntrain.core.errors import RunError
from cnntrain.runs.report import Moment
from cnntrain.tasks.base import Totals
from cnntrain.training.progress import Progress

LOSSES = {"train/loss": "training", "val/loss": "validation"}


def is_sound(values: Mapping[str, float]) -> bool:
    """Whether the losses among an epoch's metrics are numbers."""
    return all(isfinite(values[each]) for each in LOSSES if each in values)


def require_sound(values: Mapping[str, float], now: Moment) -> None:
    """Nothing that comes after a loss that is no number is worth saving.

    Raises:
        RunError: one is nan or infinite.
    """
    for name, words in LOSSES.items():
        if name in values and not isfinite(values[name]):
            after = f"step {now.step_in_epoch} of epoch {now.epoch + 1}" if now.step_in_epoch else f"epoch {now.epoch}"
            raise RunError(f"the {words} loss is {values[name]} after {after}: lower optim.lr, which was {now.lr:g}")


def has_sound_weights(model: nn.Module) -> bool:
    """Whether all weights are numbers, but for those of modules that `may_diverge`: settings side by side, say, of
    which one that does leaves the others as they are.
    """
    apart = {
        each for module in model.modules() if getattr(module, "may_diverge", False) for each in module.parameters()
    }
    return all(bool(each.isfinite().all()) for each in model.parameters() if each not in apart)


def sound_sums(totals: Totals, now: Moment) -> list[float] | None:
    """The sums of an epoch under way, over all ranks; None between epochs.

    Raises:
        RunError: its loss is nan or infinite.
    """
    if not now.step_in_epoch:
        return None
    require_sound({"train/loss": totals.mean_loss()}, now)
    return totals.reduced()


def why_ended(config: TrainConfig, progress: Progress, left: int) -> str:
    """What ended a run, and which key trains it further.

    Args:
        left: steps to the end of the last epoch.
    """
    trainer = config.trainer
    if left:
        return (
            f"trainer.early_stopping={trainer.early_stopping} holds, after {progress.epochs_since_best} epochs "
            f"without a better {config.checkpoint.metric}: a larger one, or null, trains it further"
        )
    if trainer.max_steps is not None and progress.step >= trainer.max_steps:
        return f"trainer.max_steps={trainer.max_steps} are done: more train it further"
    return f"trainer.epochs={trainer.epochs} are done: more train it further"
