"""What of a configuration is for images alone, or for grey and RGB ones of 8 bits, and not for signals or volumes."""

from __future__ import annotations

from typing import Literal

from cnntrain.augment.base import Augment
from cnntrain.config.method import Method
from cnntrain.config.model import Model
from cnntrain.core.errors import ConfigError
from cnntrain.core.targets import INSTEAD
from cnntrain.data.base import DIMENSIONS, Data
from cnntrain.tasks.base import Task

IMAGES = 2  # dimensions


def require_pictures(augment: Augment, data: Data) -> None:
    """Raises ValueError where colours are to be varied of images that have none."""
    if data.dimensions != IMAGES or data.has_pictures or not augment.of_colours:
        return
    raise ValueError(
        f"{' and '.join(augment.of_colours)}: of the colours of 8-bit grey or RGB images, and data.channels="
        f"{data.channels} data.depth={data.depth} has others: leave it out; flips, crops, affine, erasing, mixup and "
        "cutmix go with them"
    )


def require_fitting_inputs(augment: Augment, data: Data, model: Model, memory_format: str) -> None:
    """Raises ValueError where something is asked for that has no meaning for inputs of so many dimensions."""
    what, number = DIMENSIONS[data.dimensions], data.dimensions
    if number not in augment.dimensions:
        others = " and ".join(DIMENSIONS[each] for each in sorted(augment.dimensions))
        raise ValueError(f"augment={augment.name} is for {others}, and data={data.name} has {what}: take augment=none")
    if number == IMAGES:
        return
    added = {"erasing": augment.erasing, "cutmix": augment.cutmix}
    wrong = [*augment.of_colours, *(f"augment.{key}={value:g}" for key, value in added.items() if value)]
    if memory_format == "channels_last":
        wrong.append("trainer.memory_format=channels_last")
    if model.scale.resolution != 1.0:
        wrong.append(f"model.scale.resolution={model.scale.resolution:g}")
    if wrong:
        raise ValueError(f"{' and '.join(wrong)}: for images, and data={data.name} has {what}: leave it out")


def settled_format(
    data: Data, choice: Literal["auto", "contiguous", "channels_last"]
) -> Literal["auto", "contiguous", "channels_last"]:
    """In which signals and volumes are held: there is one way."""
    return choice if data.dimensions == IMAGES else "contiguous"


def require_images(data: Data, command: str, instead: str = "") -> None:
    """Raises ConfigError where a command, named by its words, is for images, and a run is of others.

    Args:
        instead: what to do.
    """
    if data.dimensions != IMAGES:
        raise ConfigError(
            f"{command} is for images, and data={data.name} has {DIMENSIONS[data.dimensions]}"
            f"{f': {instead}' if instead else ''}"
        )


def require_method(method: Method, layer: str | None, data: Data, task: Task) -> None:
    """Raises ConfigError where a method has no meaning for what a network sees, or for what it answers."""
    if data.dimensions not in method.dimensions:
        others = " and ".join(DIMENSIONS[each] for each in sorted(method.dimensions))
        raise ConfigError(
            f"method={method.name} is for {others}, and data={data.name} has {DIMENSIONS[data.dimensions]}"
        )
    if method.of_whole(layer) and task.target in INSTEAD:
        raise ConfigError(
            f"method={method.name} is of answers to images as a whole, and task={task.name} {INSTEAD[task.target]}"
        )
