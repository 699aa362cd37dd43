"""From a name to a network, with published weights or random ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal

import timm
from torch import nn

from cnntrain.core.errors import ConfigError, first_line
from cnntrain.models import inception_v3, norms, registry, scaling
from cnntrain.models.pretrained import available
from cnntrain.models.stem import use_cifar_stem


def create(
    name: str,
    classes: int,
    channels: int,
    size: int | None,
    args: Mapping[str, Any],
    pretrained: bool,
    stem: Literal["cifar", "small"] | None = None,
    scale: tuple[float, float] = (1.0, 1.0),
    norm: str | None = None,
) -> nn.Module:
    """Build the network `name` for so many classes, input channels and pixels a side (None: its own size).

    Args:
        args: of its constructor.
        stem: whether the first layers keep a small image's size; cifar: a family that has no such ones is refused.
        scale: times the blocks of each stage, and the channels of each layer; of EfficientNet's family only.
        norm: of `norms.NORMS`, in the place of each batch norm; None: the network's own.

    Raises:
        ConfigError: an argument, a tag of the name, or a change by `stem`, `scale` or `norm` is not this network's.
        InputError: the pretrained weights cannot be had.
    """
    registry.register()
    kwargs: dict[str, Any] = {"num_classes": classes, "in_chans": channels}
    published = timm.get_pretrained_cfg(name.split(".", 1)[0])
    if size is not None and published is not None and published.fixed_input_size:
        kwargs["img_size"] = size
    make = partial(timm.create_model, name) if scale == (1.0, 1.0) else scaling.scaled(name, *scale)
    trunk = str(args.get("backbone", name))  # whose weights are published
    found = available(trunk) if pretrained else None
    if found is not None:
        kwargs["pretrained_cfg_overlay"] = {"state_dict": found.tensors(trunk)}
    built = _built(partial(make, pretrained=pretrained, **kwargs | dict(args)), name, args)
    if found is not None:
        vars(built)["pretrained_cfg"].pop("state_dict")  # else they were in memory twice
    inception_v3.adapt(built)
    if norm is not None:
        norms.exchange(built, norm)
    if stem is not None and not use_cifar_stem(getattr(built, "backbone", built)) and stem == "cifar":
        raise ConfigError(f"model.stem=cifar: {type(built).__name__} has no stem that cnntrain knows how to change")
    return built


def _built(make: Callable[[], nn.Module], name: str, args: Mapping[str, Any]) -> nn.Module:
    """What a constructor makes; what it refuses is said in the keys that were given."""
    try:
        return make()
    except (TypeError, AssertionError, ValueError) as error:
        raise ConfigError(f"model.name={name} with model.args={dict(args)}: {error}") from error
    except (LookupError, AttributeError) as error:
        if not args:  # then they are no user's
            raise
        reason = f"{type(error).__name__}: {error}"
        raise ConfigError(f"model.name={name} with model.args={dict(args)}: {reason}") from error
    except RuntimeError as error:
        raise ConfigError(f"model.name={name}: {first_line(error)}") from error
