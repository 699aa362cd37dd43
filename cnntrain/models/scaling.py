"""Networks of EfficientNet's family, deeper and wider by factors (Tan and Le 2019, arXiv:1905.11946)."""

from collections.abc import Callable
from inspect import signature
from types import FunctionType
from typing import Any

from timm.models import model_entrypoint
from torch import nn

from cnntrain.core.errors import ConfigError

DEPTH, WIDTHS = "depth_multiplier", ("channel_multiplier", "model_width")  # as timm's generators call them


def scaled(name: str, depth: float, width: float) -> Callable[..., nn.Module]:
    """What builds the network `name` with `depth` times its blocks and `width` times its channels, both rounded as timm
    does it: the blocks of a stage up, channels to multiples of 8.

    A network's function in timm calls a generator of its family with the multipliers of the paper's table; what is
    returned is the same function over generators that multiply these.

    Raises:
        ConfigError: timm builds it otherwise, or cannot scale that.
    """
    function = model_entrypoint(name.split(".", 1)[0])
    names = getattr(getattr(function, "__code__", None), "co_names", ())
    made = {each: function.__globals__[each] for each in names if each.startswith("_gen_")}
    wide = {each for each, made_by in made.items() if not signature(made_by).parameters.keys().isdisjoint(WIDTHS)}
    if not wide:
        raise ConfigError(
            f"model.scale: {name} is not of EfficientNet's family (EfficientNet, MobileNet, MNASNet, MixNet, TinyNet), "
            "whose depth and width timm scales; model.scale.resolution is for any network"
        )
    if depth != 1.0 and any(DEPTH not in signature(made[each]).parameters for each in wide):
        raise ConfigError(f"model.scale.depth: timm does not scale the depth of {name}; model.scale.width it does")
    factors = {DEPTH: depth, **dict.fromkeys(WIDTHS, width)}
    replaced = {**function.__globals__, **{each: _multiplied(made[each], factors) for each in wide}}
    return FunctionType(function.__code__, replaced, function.__name__, function.__defaults__, function.__closure__)


def _multiplied(generator: Callable[..., nn.Module], factors: dict[str, float]) -> Callable[..., nn.Module]:
    """The generator with its multipliers, given or by default, times the factors of their names."""

    def generate(*args: Any, **kwargs: Any) -> nn.Module:
        bound = signature(generator).bind(*args, **kwargs)
        bound.apply_defaults()
        for name in bound.arguments.keys() & factors.keys():
            bound.arguments[name] *= factors[name]
        return generator(*bound.args, **bound.kwargs)

    return generate
