"""The layers of a network by their names."""

from __future__ import annotations

from torch import nn

from cnntrain.core.errors import InputError
from cnntrain.core.words import listed, suggest


def stages(network: nn.Module) -> list[str]:
    """The modules whose outputs timm calls the features of a network, in order, or those that give the maps of its
    trunk (`map_names`); none where it does not say."""
    found = [str(each["module"]) for each in getattr(network, "feature_info", None) or []]
    modules = dict(network.named_modules())
    return [name for name in found or getattr(network, "map_names", []) if name in modules]


def named(network: nn.Module, layer: str) -> nn.Module:
    """A module by its name, as timm's ``feature_info`` and ``named_modules`` give it.

    Raises:
        InputError: the network has no such layer.
    """
    modules = dict(network.named_modules())
    if layer not in modules or not layer:
        known = stages(network)
        advice = suggest(layer, modules) or (f"; its stages are {listed(known)}" if known else "")
        raise InputError(f"layer={layer}: {type(network).__name__} has no such layer{advice}")
    return modules[layer]
