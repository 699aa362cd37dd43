"""The typed shape of every configuration: what keys exist, of what type, with what limits.

Values live in ``configs/``; the dataclasses here have no defaults, so a composed config shows everything that a run
depends on. The groups with behaviour (data, augment, optim, schedule, transfer) are declared by a base class in
their package and filled by the subclass that their ``name`` chooses: the config *is* the object. Nothing here imports
torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal

from cnntrain.augment.base import Augment
from cnntrain.core.units import count_of
from cnntrain.data.base import Data
from cnntrain.optim.base import Optim
from cnntrain.schedule.base import Schedule
from cnntrain.transfer.base import PartlyFrozen, Transfer

SMALL_IMAGE = 64  # pixels a side, at most, for the stem that does not shrink
PICTURES = (".png", ".svg", ".pdf")


@dataclass
class Model:
    """Which network, and what it starts from."""

    name: str
    pretrained: bool | None  # None: as the transfer policy implies, unless `weights` is given
    weights: str | None
    drop_rate: float | None
    stem: Literal["auto", "imagenet", "cifar"]
    aux_weight: float  # of the loss of auxiliary heads, where `args` ask for them
    args: dict[str, Any]

    def __post_init__(self) -> None:
        if not self.aux_weight >= 0:
            raise ValueError(f"aux_weight must be at least 0, not {self.aux_weight}")
        if self.drop_rate is not None and not 0 <= self.drop_rate < 1:
            raise ValueError(f"drop_rate must be in [0, 1), not {self.drop_rate}")
        if self.pretrained and self.weights is not None:
            raise ValueError("pretrained=true and weights=<file> exclude each other: give one of them")

    def settle(self, transfer: Transfer) -> None:
        """Settle what the policy decides: whether pretrained weights are meant, and whether any are loaded at all."""
        if not transfer.loads_weights:
            if self.pretrained:
                raise ValueError(
                    f"model.pretrained=true: transfer={transfer.name} starts from random weights; transfer=full trains "
                    "everything from pretrained ones"
                )
            self.weights = None  # not refused, so that one multirun can compare transfer=scratch with the others
        if self.pretrained is None:
            self.pretrained = transfer.wants_pretrained and self.weights is None

    def small_stem(self, image_size: int) -> bool:
        """Whether the net gets the stem for small images, where its family has one."""
        from_scratch = not self.pretrained and self.weights is None
        return self.stem == "cifar" or (self.stem == "auto" and from_scratch and image_size <= SMALL_IMAGE)


@dataclass
class Trainer:
    """How long, on what, and with which arithmetic."""

    epochs: int
    max_steps: int | None  # optimizer steps over the whole run; the run ends at whichever limit comes first
    device: Literal["auto", "cpu", "cuda"]
    precision: Literal["float32", "float64", "bfloat16", "float16"]
    grad_accum: int  # micro-batches an optimizer step; the batch stays data.batch_size
    clip_norm: float | None
    label_smoothing: float
    ema_decay: float | None
    early_stopping: int | None  # epochs without a better checkpoint.metric
    deterministic: bool
    log_every: int  # optimizer steps between two lines of metrics.jsonl within an epoch; 0: one line an epoch

    def __post_init__(self) -> None:
        for key, least in (("epochs", 1), ("max_steps", 1), ("grad_accum", 1), ("early_stopping", 1), ("log_every", 0)):
            value = getattr(self, key)
            if value is not None and value < least:
                raise ValueError(f"{key} must be at least {least}, not {value}")
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise ValueError(f"clip_norm must be above 0, not {self.clip_norm}; null turns it off")
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing must be in [0, 1), not {self.label_smoothing}")
        if self.ema_decay is not None and not 0 < self.ema_decay < 1:
            raise ValueError(f"ema_decay must be between 0 and 1, not {self.ema_decay}; null turns it off")


@dataclass
class Checkpoint:
    """When the run is saved, and what makes a checkpoint the best."""

    every_steps: int | None  # besides the ends of epochs
    time_share: float  # of the run's time that writing at the ends of epochs may take
    metric: Literal["val/top1", "val/top5", "val/loss"]

    def __post_init__(self) -> None:
        if self.every_steps is not None and self.every_steps < 1:
            raise ValueError(f"every_steps must be at least 1, not {self.every_steps}; null turns it off")
        if not 0 < self.time_share <= 1:
            raise ValueError(f"time_share must be above 0 and at most 1, not {self.time_share}; 1 writes every epoch")

    @property
    def lower_is_better(self) -> bool:
        return self.metric == "val/loss"

    def is_better(self, values: Mapping[str, float], best: Mapping[str, float]) -> bool:
        """Whether an epoch's metrics are better than those of the best epoch so far."""
        if not isfinite(best[self.metric]):
            return True
        if values[self.metric] == best[self.metric]:
            return values["val/loss"] < best["val/loss"]  # small validation parts often tie
        return (values[self.metric] < best[self.metric]) == self.lower_is_better


@dataclass
class TrainConfig:
    """What `cnntrain` runs. The order of the fields is the order of ``config.yaml`` in a run's folder."""

    seed: int
    devices: int
    resume: str | None
    name: str | None
    output: str
    model: Model
    data: Data
    augment: Augment
    optim: Optim
    schedule: Schedule
    transfer: Transfer
    trainer: Trainer
    checkpoint: Checkpoint

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"seed must be at least 0, not {self.seed}")
        if self.devices < 1:
            raise ValueError(f"devices must be at least 1, not {self.devices}")
        shares = self.devices * self.trainer.grad_accum
        if self.data.batch_size % shares:
            raise ValueError(
                f"data.batch_size={self.data.batch_size} is the whole step's batch and cannot be shared equally by "
                f"devices={self.devices} x trainer.grad_accum={self.trainer.grad_accum}"
            )
        if self.transfer.side_by_side and (self.trainer.clip_norm is not None or self.trainer.precision == "float16"):
            raise ValueError(
                f"transfer={self.transfer.name} trains networks side by side, which trainer.clip_norm and "
                "trainer.precision=float16 would not leave independent: take clip_norm=null and bfloat16 or float32"
            )
        self.model.settle(self.transfer)
        views = self.transfer.views if isinstance(self.transfer, PartlyFrozen) else None
        if views is not None and not self.augment.is_random:
            raise ValueError(
                f"transfer.views={views} means nothing with augment={self.augment.name}, which shows each image in one "
                "way: leave it out"
            )


@dataclass
class EvalConfig:
    """What ``cnntrain eval`` runs. `data` is laid over the data section that the checkpoint was trained with."""

    run: str | None
    checkpoint: str | None
    part: Literal["train", "val", "test"]
    devices: int
    device: Literal["auto", "cpu", "cuda"]
    data: dict[str, Any] | None

    def __post_init__(self) -> None:
        if (self.run is None) == (self.checkpoint is None):
            raise ValueError("give either run=<run folder> or checkpoint=<file>")
        if self.devices < 1:
            raise ValueError(f"devices must be at least 1, not {self.devices}")


@dataclass
class SummaryConfig:
    """What ``cnntrain summary`` shows. No data is read: `data` gives the images' shape and the number of classes."""

    model: Model
    data: Data | None  # None: the model's own image size and classes
    transfer: Transfer
    classes: int | None
    batch_size: int | None
    format: Literal["table", "markdown", "json", "dot", "png"]
    output: str | None
    tensorboard: str | None

    def __post_init__(self) -> None:
        for key in ("classes", "batch_size"):
            value = getattr(self, key)
            if value is not None and value < 1:
                raise ValueError(f"{key} must be at least 1, not {value}")
        if self.format == "png" and self.output is None:
            raise ValueError("format=png needs output=<file>")
        self.model.settle(self.transfer)  # decides on the stem, as in training; no weights are loaded


@dataclass
class ModelsConfig:
    """What ``cnntrain models`` lists."""

    filter: str
    all: bool
    max_params: str | None
    max_macs: str | None
    sort: Literal["name", "year", "family", "params", "macs", "depth", "top1", "top5"]
    reverse: bool
    format: Literal["table", "json", "csv"]

    def __post_init__(self) -> None:
        for key in ("max_params", "max_macs"):
            text = getattr(self, key)
            if text is not None and count_of(text) is None:
                raise ValueError(f"{key} must be a number such as 25000000, 25M or 4.1G, not {text}")


@dataclass
class CacheConfig:
    """What ``cnntrain cache`` lists or deletes."""

    cache_dir: str | None
    older_than: float | None  # days without use
    clear: bool
    format: Literal["table", "json"]

    def __post_init__(self) -> None:
        if self.older_than is not None and not self.older_than >= 0:
            raise ValueError(f"older_than must be at least 0 days, not {self.older_than}")


@dataclass
class PlotConfig:
    """What ``cnntrain plot`` draws."""

    runs: str  # a folder, or a pattern of folders
    x: str  # epoch, or a key of the runs' configurations
    y: list[str]  # metrics, a panel each
    curve: str | None  # a key of the runs' configurations
    y_range: list[float] | None  # as on the axis
    title: str | None
    output: str | None
    format: Literal["table", "markdown", "json"]

    def __post_init__(self) -> None:
        if not self.y or len(set(self.y)) < len(self.y):
            raise ValueError(f"y must name each metric to draw once, not {self.y}")
        if self.y_range is not None and (len(self.y_range) != 2 or self.y_range[0] >= self.y_range[1]):
            raise ValueError(f"y_range must be the axis's least and most, such as [0,20], not {self.y_range}")
        if self.output is not None and not self.output.lower().endswith(PICTURES):
            raise ValueError(f"output must end in one of {', '.join(PICTURES)}, not {self.output}")
