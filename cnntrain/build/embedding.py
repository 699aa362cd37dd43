"""Features of images: what a network computes before its classifier, or at one of its layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cnntrain.build import weights
from cnntrain.build.reading import Adjust
from cnntrain.build.trained import Trained
from cnntrain.config import compose
from cnntrain.config.check import check, plain
from cnntrain.config.model import Model
from cnntrain.config.schema import TrainConfig
from cnntrain.core import seeds
from cnntrain.core.errors import InputError
from cnntrain.data.batches.preprocess import Preprocess
from cnntrain.models import auxiliary, layers
from cnntrain.models import features as features_of
from cnntrain.models.pretrained import published_preprocessing
from cnntrain.training.precision import place

CHANNELS, CLASSES = 3, 1000  # of published weights, whose head is not used


def features(network: nn.Module, layer: str | None) -> Callable[[Tensor], Tensor]:
    """Of images what a network computes at a layer, float32 [images, features]; maps are averaged over their places.

    Args:
        layer: a module's name, as timm's ``feature_info`` and ``named_modules`` give it; None: before the classifier.

    Raises:
        InputError: the network has no such layer.
    """
    if layer is None:
        return features_of.before_classifier(network)
    found: list[Any] = []
    layers.named(network, layer).register_forward_hook(lambda module, given, output: found.append(output))

    def at_layer(seen: Tensor) -> Tensor:
        found.clear()
        network(seen)
        if len(found) != 1 or not isinstance(found[0], Tensor):
            raise InputError(f"layer={layer}: is not computed once, to one tensor, so that it gives no features")
        return features_of.pooled(found.pop())

    return at_layer


def published(model: Model, device: torch.device, adjust: Adjust) -> Trained:
    """A network with published weights or those of a file, on images as these weights were trained to see them; it
    knows no classes.

    Args:
        adjust: what is wanted of the configuration, made of that of a training.

    Raises:
        InputError: the weights cannot be had, or do not fit.
    """
    tree = plain(compose.compose_config("train", []))
    chosen = asdict(model) | ({"pretrained": True} if model.weights is None and model.pretrained is None else {})
    config = check(adjust({**tree, "model": chosen}), TrainConfig)
    source = None if config.model.weights is None else weights.read(Path(config.model.weights))
    kept = None if source is None else source.preprocess
    classes = source.classes if source is not None else None
    with seeds.generators_kept():
        network = config.model.create(
            CLASSES if classes is None else len(classes),
            CHANNELS if kept is None else kept.channels,
            None if kept is None else kept.image_size,
            bool(config.model.pretrained),
            None if source is None else source.small_stem,
        )
        notes = [] if source is None else weights.load(network, source, classes or [])
    published = published_preprocessing(network, CHANNELS)
    published["image_size"] = config.model.scaled(published["image_size"])
    seen = kept or Preprocess(CHANNELS, **published, background=config.data.background)
    auxiliary.remove(network)
    place(network.eval(), config.trainer, device)
    if not config.model.pretrained and source is None:
        notes = ["note: model.pretrained=false: its weights are random"]
    return Trained(Path(model.name), config, network, seen, [], 0, None, "", notes, device)
