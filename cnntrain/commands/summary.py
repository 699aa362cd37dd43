"""``cnntrain summary``: a network layer by layer, on the meta device: no data, no weights, no training."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
from torch import nn

from cnntrain import models
from cnntrain.config.schema import SummaryConfig
from cnntrain.core import files, tables
from cnntrain.core.errors import ConfigError, InputError
from cnntrain.core.units import in_bytes
from cnntrain.models import auxiliary
from cnntrain.models.create import create
from cnntrain.study.anatomy import drawing, layers
from cnntrain.study.anatomy.recorder import Layer
from cnntrain.transfer.freezing import Freezing

DEFAULT_BATCH = 128
DEFAULT_INPUT, DEFAULT_CLASSES = (3, 224, 224), 1000
FLOAT_BYTES = 4
COLUMNS = ("layer", "type", "output", "kernel", "map", "params", "", "MACs", "memory", "field", "jump")
LEFT = ("layer", "type", "output", "kernel", "")


def run(config: SummaryConfig, overrides: Sequence[str]) -> int:
    """Show the network that `config` describes, in the format and at the place that it asks for."""
    network = Network(config)
    title = f"{config.model.name} {_times(network.image)}, {network.classes} classes, transfer={config.transfer.name}"
    if config.format == "json":
        text = json.dumps(network.facts(), indent=2) + "\n"
    elif config.format in ("dot", "png"):
        text = drawing.dot(title, network.image, network.rows)
    else:
        draw = tables.table if config.format == "table" else tables.markdown
        text = draw(title, COLUMNS, [_cells(row) for row in network.rows], LEFT) + _footer(network, config.format)
    content = drawing.png(text) if config.format == "png" else text.encode()
    if config.output is None:
        print(text, end="", flush=True)
    else:
        _write(Path(config.output), content)
    if config.tensorboard is not None:
        drawing.tensorboard(network.model, network.image, Path(config.tensorboard))
    return 0


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

    def __init__(self, config: SummaryConfig):
        self.config = config
        data = config.data
        models.register()
        published = timm.get_pretrained_cfg(config.model.name)
        own = tuple(published.input_size) if published else DEFAULT_INPUT
        size = data.image_size if data else None
        self.image = (data.channels if data else own[0], size or own[1], size or own[2])
        known = config.classes or (data.outputs if data else None)
        self.classes = known or (published.num_classes if published else DEFAULT_CLASSES)
        self.batch = config.batch_size or (data.batch_size if data else DEFAULT_BATCH)
        with torch.device("meta"):
            self.model: nn.Module = create(config.model, self.classes, self.image[0], size, pretrained=False)
        self.freezing = Freezing(self.model, config.transfer)
        self.rows, self.macs = layers.measure(self.model, self.image[0], self.image[1])
        self.warnings = {row.name: sentence for row in self.rows if (sentence := layers.uneven(row))}
        if config.transfer.side_by_side:
            self.warnings[f"transfer={config.transfer.name}"] = "a run's own classifiers are not in this summary"
        elif any(len(states) > 1 for states in self.freezing.changes(epochs=1)):
            self.warnings[f"transfer={config.transfer.name}"] = "what is trained, and the memory, are the first epoch's"
        self.params = sum(p.numel() for p in auxiliary.main_parameters(self.model))
        self.trained = sum(p.numel() for p in auxiliary.main_parameters(self.model) if p.requires_grad)
        self.auxiliary = sum(p.numel() for p in auxiliary.parameters(self.model))
        self.values = sum(row.values for row in self.rows)
        self.memory = self._memory()

    def _memory(self) -> Memory:
        tensors = [*self.model.parameters(), *self.model.buffers()]
        try:
            kept = layers.kept_for_backward(self.model, self.freezing.train_mode, self.batch, *self.image[:2])
        except (ValueError, RuntimeError) as error:  # such as BatchNorm's on one value a channel
            raise ConfigError(f"batch_size={self.batch} cannot be trained on: {str(error).splitlines()[0]}") from error
        trained = sum(p.numel() for p in self.model.parameters() if p.requires_grad) * FLOAT_BYTES
        return Memory(sum(each.numel() * each.element_size() for each in tensors), trained, trained, kept)

    def facts(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {
            "model": self.config.model.name,
            "input": list(self.image),
            "classes": self.classes,
            "transfer": self.config.transfer.name,
            "layers": [_facts(row) for row in self.rows],
            "warnings": self.warnings,
            "totals": {
                "params": self.params,
                "trainable_params": self.trained,
                "non_trainable_params": self.params - self.trained,
                "auxiliary_params": self.auxiliary,
                "unused_params": self.params - sum(row.params for row in self.rows),
                "macs": self.macs,
                "depth": layers.depth(self.rows),
                "activation_values": self.values,
                "activation_bytes": self.values * FLOAT_BYTES,
                "training_memory": {"batch_size": self.batch, **vars(self.memory), "total": self.memory.total},
            },
        }


def _facts(row: Layer) -> dict[str, Any]:
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
        "receptive_field": [row.field.rows.size, row.field.columns.size] if row.field else None,
        "jump": [row.field.rows.jump, row.field.columns.jump] if row.field else None,
    }


def _cells(row: Layer) -> list[str]:
    state = "" if not row.params else "trained" if row.trained == row.params else "partly" if row.trained else "frozen"
    field, positions = row.field, row.shape[1:]
    return [
        row.name,
        row.kind,
        _times(row.shape),
        _kernel(row),
        _times(row.size) if row.window else "",
        f"{row.params:,}" if row.params else "",
        state,
        f"{row.macs:,}" if row.macs else "",
        f"{row.values:,}",
        _pair(field.rows.size, field.columns.size) if field else "unknown",
        _pair(field.rows.jump, field.columns.jump) if field and any(each > 1 for each in positions) else "",
    ]


def _kernel(row: Layer) -> str:
    """Such as ``3x3/2 p1``: kernel, stride, padding."""
    if row.window is None:
        return ""
    stride, padding = _pair(*row.window.stride), _pair(*row.window.padding)
    return f"{_times(row.window.kernel)}/{stride}" + (f" p{padding}" if padding != "0" else "")


def _footer(network: Network, layout: str) -> str:
    """Totals and warnings; in markdown as a list."""
    memory, size = network.memory, in_bytes
    unused = network.params - sum(row.params for row in network.rows)
    lines = [
        f"parameters: {network.params:,} ({size(network.params * FLOAT_BYTES)})",
        f"trainable: {network.trained:,}; non-trainable: {network.params - network.trained:,}",
        *([f"auxiliary heads, in training only: {network.auxiliary:,} parameters more"] if network.auxiliary else []),
        *([f"parameters of none of these layers: {unused:,}"] if unused else []),
        f"multiply-adds: {network.macs:,}; depth: {layers.depth(network.rows)}",
        f"activations of one image, forward: {network.values:,} values ({size(network.values * FLOAT_BYTES)})",
        f"training memory, batch {network.batch} in float32 with momentum, about {size(memory.total)}: weights "
        f"{size(memory.weights)}, gradients {size(memory.gradients)}, momentum {size(memory.momentum)}, activations "
        f"{size(memory.activations)}",
    ]
    by_reason: dict[str, list[str]] = {}
    for name, reason in network.warnings.items():
        by_reason.setdefault(reason, []).append(name)
    lines += [f"warning: {_listed(names)}: {reason}" for reason, names in by_reason.items()]
    bullet = "- " if layout == "markdown" else ""
    return "\n" + "".join(f"{bullet}{line}\n" for line in lines)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _times(sizes: Sequence[float]) -> str:
    return "x".join(f"{each:g}" for each in sizes)


def _pair(rows: float, columns: float) -> str:
    """Rows and columns, once where they are equal."""
    return f"{rows:g}" if rows == columns else f"{rows:g}x{columns:g}"


def _write(path: Path, content: bytes) -> None:
    if not path.parent.is_dir():
        raise InputError(f"output={path}: there is no folder {path.parent}")
    files.write_atomic(path, content)
    print(path, flush=True)
