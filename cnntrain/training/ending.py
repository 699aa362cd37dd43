"""Why a run ends: what is done, and what holds."""

from __future__ import annotations

from cnntrain.config.schema import TrainConfig
from cnntrain.training.progress import Progress


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
