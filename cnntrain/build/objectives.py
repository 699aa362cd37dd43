"""A run's task at work, with what it looks at images by."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from cnntrain.config.schema import TrainConfig
from cnntrain.tasks.base import Objective
from cnntrain.tasks.generate import Generate


def start(config: TrainConfig, device: torch.device, class_weights: Sequence[float] | None = None) -> Objective:
    """The task of a configuration.

    Raises:
        InputError: the network by whose features images are compared cannot be read, or is of no use for it.
    """
    task = config.task
    if isinstance(task, Generate) and task.features is not None:
        from cnntrain.build.comparing import Features  # brings much in

        return task.comparing(
            config.trainer.label_smoothing, Features(Path(task.features), config.data.channels, device)
        )
    return task.start(config.trainer.label_smoothing, config.model.aux_weight, class_weights)
