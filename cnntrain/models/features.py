"""What a network computes of images before its classifier, or of maps, as one row an image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from cnntrain.core.errors import InputError


def before_classifier(network: Any) -> Callable[[Tensor], Tensor]:
    """Of images what the classifier is given, float32 [images, features].

    Raises:
        InputError: the network has several classifiers, or none.
    """
    if not hasattr(network, "forward_head"):
        raise InputError(f"{type(network).__name__} has no one classifier: give layer=<name>, whose output is taken")
    return lambda seen: pooled(network.forward_head(network.forward_features(seen), pre_logits=True))


def pooled(output: Tensor) -> Tensor:
    """float32 [images, features] of those, or of maps [images, features, height, width] their means over positions."""
    return output.flatten(2).mean(2).float() if output.ndim > 2 else output.float()
