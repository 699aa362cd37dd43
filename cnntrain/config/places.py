"""What of a configuration must agree where something is learned of places in an image: pixels, or objects."""

from __future__ import annotations

from typing import Any

from cnntrain.augment.base import Augment
from cnntrain.core.targets import DENSE, IN_WORDS
from cnntrain.data.base import Data
from cnntrain.tasks.base import Task
from cnntrain.transfer.base import Transfer

GO_WITH = {
    "mask": "task=segment goes with data=digit_scenes, masks and voc_segmentation",
    "boxes": "task=detect goes with data=digit_scenes, coco and voc_detection",
}


def require_fitting_places(task: Task, data: Data, augment: Augment, transfer: Transfer, class_weight: Any) -> None:
    """Raises ValueError where masks or boxes are learned and not given, given and not learned, or learned with what is
    for labels."""
    place = next((each for each in DENSE if each in (task.target, data.target)), None)
    if place is None:
        return
    if task.target != data.target:
        raise ValueError(
            f"task={task.name} learns {IN_WORDS[task.target]}, and data={data.name} gives {IN_WORDS[data.target]}: "
            f"{GO_WITH[place if task.target not in DENSE else task.target]}"
        )
    moves = augment.moves_masks if place == "mask" else augment.moves_boxes
    asked = {
        "data.balance=true": data.balance,
        f"data.classes={data.classes}": data.classes is not None,
        f"data.train_per_class={data.train_per_class}": data.train_per_class is not None,
        f"data.pack_size={data.pack_size}": data.pack_size is not None,
        f"augment.mixup={augment.mixup}": augment.mixup,
        f"augment.cutmix={augment.cutmix}": augment.cutmix,
        f"augment={augment.name}": not moves,
        "trainer.class_weight=auto": class_weight == "auto",
        f"transfer={transfer.name}": transfer.one_label or transfer.side_by_side,
    }
    _refuse(task.name, [key for key, is_asked in asked.items() if is_asked], place)


def require_fitting_boxes(trainer: Any) -> None:
    """Raises ValueError where objects are learned with what is for one answer of fixed size an image."""
    asked = {
        f"trainer.class_weight={trainer.class_weight}": trainer.class_weight is not None,
        f"trainer.label_smoothing={trainer.label_smoothing}": trainer.label_smoothing,
        "trainer.compile=on": trainer.compile == "on",
        "trainer.cuda_graphs=true": trainer.cuda_graphs,
        "trainer.precision=float64": trainer.precision == "float64",
    }
    wrong = [key for key, is_asked in asked.items() if is_asked]
    if wrong:
        raise ValueError(
            f"{' and '.join(wrong)}: not for task=detect, whose networks answer with as many boxes as they find: leave "
            f"{'it' if len(wrong) == 1 else 'them'} out"
        )


def _refuse(task: str, wrong: list[str], place: Any) -> None:
    if not wrong:
        return
    of_augment = any(each.startswith("augment=") for each in wrong)
    more = (
        " (a border that mirrors the image shows objects without a box: augment.padding_mode=constant)"
        if place == "boxes" and of_augment
        else ""
    )
    raise ValueError(
        f"{' and '.join(wrong)}: for images with labels, and task={task} learns {IN_WORDS[place]}: "
        f"leave {'it' if len(wrong) == 1 else 'them'} out{more}"
    )
