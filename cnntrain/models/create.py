"""From a name to a network, with published weights or random ones."""

from __future__ import annotations

from typing import Any

import timm
from torch import nn

from cnntrain import models
from cnntrain.config.schema import SMALL_IMAGE, Model
from cnntrain.core.errors import ConfigError
from cnntrain.models import inception_v3
from cnntrain.models.pretrained import require_reachable
from cnntrain.models.stem import use_cifar_stem


def create(
    model: Model, classes: int, channels: int, size: int | None, pretrained: bool, small_stem: bool | None = None
) -> nn.Module:
    """Build `model` for so many classes, input channels and pixels a side (None: the model's own size).

    Args:
        small_stem: whether the first layers keep a small image's size; None: as `model` says.

    Raises:
        ConfigError: the constructor does not know an argument, or the name's tag does not exist.
        InputError: the pretrained weights cannot be had.
    """
    models.register()
    kwargs: dict[str, Any] = {"num_classes": classes, "in_chans": channels}
    published = timm.get_pretrained_cfg(model.name.split(".", 1)[0])
    if size is not None and published is not None and published.fixed_input_size:
        kwargs["img_size"] = size
    kwargs |= model.args
    if model.drop_rate is not None:
        kwargs["drop_rate"] = model.drop_rate
    if pretrained:
        require_reachable(model.name)
    try:
        built = timm.create_model(model.name, pretrained=pretrained, **kwargs)
    except (TypeError, AssertionError, ValueError) as error:
        raise ConfigError(f"model.name={model.name} with model.args={model.args}: {error}") from error
    except RuntimeError as error:
        raise ConfigError(f"model.name={model.name}: {str(error).splitlines()[0]}") from error
    inception_v3.adapt(built)
    if small_stem is None or model.stem != "auto":
        small_stem = model.small_stem(size or SMALL_IMAGE + 1)
    if small_stem and not use_cifar_stem(built) and model.stem == "cifar":
        raise ConfigError(f"model.stem=cifar: {type(built).__name__} has no stem that cnntrain knows how to change")
    return built
