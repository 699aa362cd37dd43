"""What of a configuration must agree on how many labels an image has, and what classes may count."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cnntrain.core.errors import ConfigError
from cnntrain.core.targets import INSTEAD
from cnntrain.data.base import Data
from cnntrain.tasks.base import Task
from cnntrain.transfer.base import Transfer


def require_fitting_labels(task: Task, data: Data, transfer: Transfer) -> None:
    """Raises ValueError where the task, the data and the policy are not for equally many labels an image."""
    several = task.target == "labels"
    if several and data.target != "labels":
        raise ValueError(
            f"task={task.name} is for images with any number of labels each, which data=csv data.labels=several reads, "
            f"and data={data.name} gives them one: that, or task=classify"
        )
    if data.target == "labels" and not several:
        raise ValueError(
            f"data={data.name} gives an image any number of labels, which is for task=multilabel, and "
            f"task={task.name} learns one"
        )
    if several and transfer.one_label:
        raise ValueError(
            f"transfer={transfer.name} compares accuracies of one label an image, and task={task.name} is for any "
            "number of them: name another policy, transfer=linear_probe, freeze_depth or full"
        )


def require_answers(
    task: Task, ensemble: bool, average: str | None, tta: str, corrupts: bool, cues: str | None
) -> None:
    """Raises ConfigError where an evaluation is asked for what is not of the answers that a task gives."""
    if task.target == "labels" and (ensemble or tta != "none"):
        raise ConfigError(
            f"task={task.name} gives each label a probability of its own, and ensemble=true and tta average those of "
            "one label an image: leave them out"
        )
    if task.target == "labels" and cues is not None:
        raise ConfigError(
            f"task={task.name} gives any number of labels, and cues asks which one an image is taken for: leave it out"
        )
    asked = {"ensemble=true": ensemble, f"average={average}": average, f"tta={tta}": tta != "none",
             "corruptions": corrupts, "cues": cues}  # fmt: skip
    wrong = [key for key, is_asked in asked.items() if is_asked]
    if task.target in INSTEAD and wrong:
        raise ConfigError(
            f"{' and '.join(wrong)}: of answers to images as a whole, and task={task.name} {INSTEAD[task.target]}: "
            "leave it out"
        )


def require_weights(asked: str | Mapping[str, Any] | None) -> None:
    """Raises ValueError where weights of classes, if they are given, are not numbers from 0 up, or are all 0."""
    given = asked if isinstance(asked, Mapping) else {}
    wrong = [
        f"{name}={weight}"
        for name, weight in given.items()
        if isinstance(weight, bool) or not isinstance(weight, int | float) or weight < 0
    ]
    if wrong or (given and not any(given.values())):
        raise ValueError(f"class_weight takes numbers from 0 up, not all of them 0: not {', '.join(wrong) or given}")
