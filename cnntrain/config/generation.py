"""What of a configuration must agree where images are made."""

from __future__ import annotations

from typing import Any

from cnntrain.augment.base import Augment
from cnntrain.core.targets import IN_WORDS
from cnntrain.data.base import Data
from cnntrain.tasks.base import Task
from cnntrain.transfer.base import Transfer
from cnntrain.transfer.full import Full
from cnntrain.transfer.scratch import Scratch


def require_fitting_generation(task: Task, data: Data, augment: Augment, transfer: Transfer, trainer: Any) -> None:
    """Raises ValueError where images are to be made with what is for answers to images, or of what is no picture."""
    if task.target != "image":
        return
    if data.target != "label":
        raise ValueError(
            f"task={task.name} learns {IN_WORDS['image']}, and data={data.name} gives {IN_WORDS[data.target]}: it goes "
            "with data for task=classify, whose labels it does not look at"
        )
    if not data.has_pictures:
        raise ValueError(
            f"task={task.name} makes grey or RGB images of 8 bits, and those of data={data.name} with data.channels="
            f"{data.channels} data.depth={data.depth} are others"
        )
    asked = {
        f"augment.mixup={augment.mixup}": augment.mixup,
        f"augment.cutmix={augment.cutmix}": augment.cutmix,
        "augment.normalize=data": augment.normalize == "data",
        f"trainer.class_weight={trainer.class_weight}": trainer.class_weight is not None,
        f"trainer.clip_norm={trainer.clip_norm}": trainer.clip_norm is not None,
        f"transfer={transfer.name}": not isinstance(transfer, Full | Scratch),
    }
    wrong = [key for key, is_asked in asked.items() if is_asked]
    if wrong:
        raise ValueError(
            f"{' and '.join(wrong)}: for one network that answers to images, and task={task.name} trains two that make "
            f"and judge them: leave {'it' if len(wrong) == 1 else 'them'} out"
        )
