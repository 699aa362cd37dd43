"""A network and everything that is shown of it: layers, counts, memory. Built on the meta device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import timm
import torch
from torch import nn

from cnntrain.config.model import Model
from cnntrain.core.errors import ConfigError, first_line
from cnntrain.data.base import Data
from cnntrain.models import auxiliary, registry
from cnntrain.study.anatomy import layers
from cnntrain.study.anatomy.recorder import Layer
from cnntrain.transfer.base import Transfer
from cnntrain.transfer.freezing import Freezing

DEFAULT_BATCH = 128
DEFAULT_INPUT, DEFAULT_CLASSES = (3, 224, 224), 1000
FLOAT_BYTES = 4


@dataclass
class Memory:
    """Bytes of a training step in float32 with SGD and momentum, without workspaces and passing gradients."""

    weights: int  # buffers included
    gradients: int
    momentum: int
    activations: int  # kept for the backward pass, the images included

    @property
    def total(self) -> int:
        return self.weights + self.gradients + self.momentum + self.activations


class Network:
    """The network and everything that is shown of it.

    Raises:
        ConfigError: the model does not take such images, or the transfer policy does not fit it.
    """

    def __init__(
        self, model: Model, data: Data | None, transfer: Transfer, classes: int | None, batch_size: int | None
    ):
        """Args:
        data: gives the images' shape and the number of classes, where it is known without reading it; None: the
            model's own.
        """
        self.name, self.transfer = model.name, transfer
        registry.register()
        published = timm.get_pretrained_cfg(model.name)
        own = tuple(published.input_size) if published else DEFAULT_INPUT
        size = data.image_size if data else None
        self.image = self._shape(model, data, own)
        known = classes or (data.outputs if data else None)
        self.classes = known or (published.num_classes if published else DEFAULT_CLASSES)
        self.batch = batch_size or (data.batch_size if data else DEFAULT_BATCH)
        with torch.device("meta"):
            self.model: nn.Module = model.create(self.classes, self.image[0], size and self.image[-1], pretrained=False)
        if data is not None:
            layers.require_dimensions(self.model, data.dimensions)
        self.freezing = Freezing(self.model, transfer)
        self.rows, self.macs = layers.measure(self.model, self.image)
        self.warnings = {row.name: sentence for row in self.rows if (sentence := layers.uneven(row))}
        if transfer.side_by_side:
            self.warnings[f"transfer={transfer.name}"] = "a run's own classifiers are not in this summary"
        elif any(len(states) > 1 for states in self.freezing.changes(epochs=1)):
            self.warnings[f"transfer={transfer.name}"] = "what is trained, and the memory, are the first epoch's"
        self.params = sum(p.numel() for p in auxiliary.main_parameters(self.model))
        self.trained = sum(p.numel() for p in auxiliary.main_parameters(self.model) if p.requires_grad)
        self.auxiliary = sum(p.numel() for p in auxiliary.parameters(self.model))
        self.values = sum(row.values for row in self.rows)
        self.memory = self._memory()

    def _shape(self, model: Model, data: Data | None, own: tuple[int, ...]) -> tuple[int, ...]:
        """What the network is given: the model's own input, as far as the data's keys do not say otherwise."""
        if data is None:
            return (own[0], *model.scaled_sides(own[1:]))
        sides = list(own[1:]) if data.image_size is None else [*own[1:-2], *[data.image_size] * len(own[-2:])]
        if len(sides) == 3 and data.clip_length is not None:
            sides[0] = data.clip_length
        return (data.channels, *model.scaled_sides(sides))

    def _memory(self) -> Memory:
        tensors = [*self.model.parameters(), *self.model.buffers()]
        try:
            kept = layers.kept_for_backward(self.model, self.freezing.train_mode, self.batch, self.image)
        except (ValueError, RuntimeError) as error:  # such as BatchNorm's on one value a channel
            raise ConfigError(f"batch_size={self.batch} cannot be trained on: {first_line(error)}") from error
        trained = sum(p.numel() for p in self.model.parameters() if p.requires_grad) * FLOAT_BYTES
        return Memory(sum(each.numel() * each.element_size() for each in tensors), trained, trained, kept)

    @property
    def depth(self) -> int:
        """Convolutions and linear layers on the longest path."""
        return layers.depth(self.rows)

    def facts(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {
            "model": self.name,
            "input": list(self.image),
            "classes": self.classes,
            "transfer": self.transfer.name,
            "layers": [facts(row) for row in self.rows],
            "warnings": self.warnings,
            "totals": {
                "params": self.params,
                "trainable_params": self.trained,
                "non_trainable_params": self.params - self.trained,
                "auxiliary_params": self.auxiliary,
                "unused_params": self.params - sum(row.params for row in self.rows),
                "macs": self.macs,
                "depth": self.depth,
                "activation_values": self.values,
                "activation_bytes": self.values * FLOAT_BYTES,
                "training_memory": {"batch_size": self.batch, **vars(self.memory), "total": self.memory.total},
            },
        }


def facts(row: Layer) -> dict[str, Any]:
    window = row.window
    return {
        "name": row.name,
        "type": row.kind,
        "inputs": list(row.inputs),
        "output": list(row.shape),
        "kernel": list(window.kernel) if window else None,
        "stride": list(window.stride) if window else None,
        "padding": list(window.padding) if window else None,
        "map": list(row.size) if window else None,
        "params": row.params,
        "trainable_params": row.trained,
        "macs": row.macs,
        "values": row.values,
        "receptive_field": [axis.size for axis in row.field.axes] if row.field else None,
        "jump": [axis.jump for axis in row.field.axes] if row.field else None,
    }
