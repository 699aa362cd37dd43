"""The figures of a named network, computed from the network itself on the meta device."""

from __future__ import annotations

from typing import Any

import timm
import torch
from torch import nn

from cnntrain.config import compose
from cnntrain.config.check import plain, section
from cnntrain.config.model import Model
from cnntrain.core.targets import Target
from cnntrain.data.base import DIMENSIONS
from cnntrain.models import auxiliary, registry
from cnntrain.study import catalog
from cnntrain.study.anatomy import layers

TASKS: dict[Target, str] = {"label": "classify", "mask": "segment", "boxes": "detect", "image": "generate"}


def figures(name: str) -> dict[str, Any]:
    """The columns `catalog.COMPUTED` of the network that ``configs/model/<name>.yaml`` describes, at its own input
    size and number of classes.

    Raises:
        ConfigError: the YAML is wrong, or the network does not take its own input.
    """
    registry.register()
    tree = plain(compose.compose_config("summary", compose.force(compose.parse([f"model={name}"]))))
    model = section(tree["model"], Model, "model")
    registered = model.name.split(".", 1)[0]
    published = timm.get_pretrained_cfg(model.name)
    own = tuple(published.input_size) if published else (3, 224, 224)
    image = (own[0], *model.scaled_sides(own[1:]))
    classes = published.num_classes if published else 1000
    with torch.device("meta"):
        net = model.create(classes, image[0], None, pretrained=False)
    rows, macs = layers.measure(net, image)
    return {
        "family": registry.defined_in(registered).rsplit(".", 1)[-1],
        "task": TASKS[getattr(net, "target", "label")],
        "of": DIMENSIONS[len(image) - 1],
        "params": sum(p.numel() for p in auxiliary.main_parameters(net)),
        "macs": macs,
        "input": "x".join(map(str, image)),
        "depth": layers.depth(rows),
        "source": catalog.source(registered),
        "weights": _has_weights(net, model),
    }


def _has_weights(net: nn.Module, model: Model) -> bool:
    """Whether published weights exist, and are of this network: arguments of the YAML may have made it another one."""
    if not timm.models.is_model_pretrained(model.name):
        return False
    with torch.device("meta"):
        plain = timm.create_model(model.name)
    return _shapes(plain) == _shapes(net)


def _shapes(net: nn.Module) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in net.state_dict().items()}
