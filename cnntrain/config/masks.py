"""What of a configuration must agree where a class is learned for each pixel."""

from __future__ import annotations

from typing import Any

from cnntrain.augment.base import Augment
from cnntrain.core.targets import IN_WORDS
from cnntrain.data.base import Data
from cnntrain.tasks.base import Task
from cnntrain.transfer.base import Transfer


def require_fitting_masks(task: Task, data: Data, augment: Augment, transfer: Transfer, class_weight: Any) -> None:
    """Raises ValueError where masks are learned and not given, given and not learned, or learned with what is for
    labels."""
    if "mask" not in (task.target, data.target):
        return
    if task.target != data.target:
        raise ValueError(
            f"task={task.name} learns {IN_WORDS[task.target]}, and data={data.name} gives {IN_WORDS[data.target]}: "
            "task=segment goes with data=digit_scenes, masks and voc_segmentation"
        )
    asked = {
        "data.balance=true": data.balance,
        f"data.classes={data.classes}": data.classes is not None,
        f"data.train_per_class={data.train_per_class}": data.train_per_class is not None,
        f"data.pack_size={data.pack_size}": data.pack_size is not None,
        f"augment.mixup={augment.mixup}": augment.mixup,
        f"augment.cutmix={augment.cutmix}": augment.cutmix,
        f"augment={augment.name}": not augment.moves_masks,
        "trainer.class_weight=auto": class_weight == "auto",
        f"transfer={transfer.name}": transfer.one_label or transfer.side_by_side,
    }
    wrong = [key for key, is_asked in asked.items() if is_asked]
    if wrong:
        raise ValueError(
            f"{' and '.join(wrong)}: for images with labels, and task={task.name} learns {IN_WORDS[task.target]}: "
            f"leave {'it' if len(wrong) == 1 else 'them'} out"
        )
