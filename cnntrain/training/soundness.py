"""Whether losses and weights are numbers still."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite

from torch import nn

from cnntrain.core.errors import RunError
from cnntrain.runs.report import Moment

LOSSES = {"train/loss": "training", "val/loss": "validation"}


def is_sound(values: Mapping[str, float]) -> bool:
    """Whether the losses among an epoch's metrics are numbers."""
    return all(isfinite(values[each]) for each in LOSSES)


def require_sound(values: Mapping[str, float], now: Moment) -> None:
    """Raises RunError where a loss among an epoch's metrics is nan or infinite."""
    for name, words in LOSSES.items():
        if not isfinite(values[name]):
            raise RunError(
                f"the {words} loss is {values[name]} after epoch {now.epoch}: lower optim.lr, which was {now.lr:g}"
            )


def has_sound_weights(model: nn.Module) -> bool:
    """Whether all weights are numbers, but for those of modules that `may_diverge`: settings side by side, say, of
    which one that does leaves the others as they are.
    """
    apart = {
        each for module in model.modules() if getattr(module, "may_diverge", False) for each in module.parameters()
    }
    return all(bool(each.isfinite().all()) for each in model.parameters() if each not in apart)
