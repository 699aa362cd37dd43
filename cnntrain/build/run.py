"""From a configuration to everything that a run consists of, in one order: data, model, weights, policy, optimizer."""

from __future__ import annotations
from cnntrain.train.loaders import DTYPES
from cnntrain.train.loaders import Loaders
from cnntrain.train.loaders import input_dtype

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from cnntrain.core import dist
from cnntrain.study.anatomy import layers
from cnntrain.core import seeds
from cnntrain.build import weights
from cnntrain.models.create import create
from cnntrain.models.pretrained import pretrained_statistics
from cnntrain.tasks.classify.criterion import Criterion
from cnntrain.data.base import Data
from cnntrain.data.batches.loader import Loader
from cnntrain.data.batches.preprocess import Preprocess
from cnntrain.data.batches.samples import Samples
from cnntrain.data.batches.plan import Share
from cnntrain.data.batches.plan import step_batch
from cnntrain.data.sets.dataset import DataSet
from cnntrain.data.sets.dataset import Part
from cnntrain.data.batches.statistics import mean_and_deviation
from cnntrain.data.sets.subset import reduced
from cnntrain.optim.groups import load_by_name
from cnntrain.optim.groups import parameter_groups
from cnntrain.train.run import Run
from cnntrain.config.schema import TrainConfig
from cnntrain.transfer.base import Outset
from cnntrain.transfer.freezing import Freezing

DEFAULT_SIZE = 224


def build(config: TrainConfig, saved: dict[str, Any] | None = None) -> Run:
    """Everything that training needs, ready for its first step.

    Args:
        saved: the checkpoint of a run to resume; its weights replace pretrained ones, which are then not fetched.

    Raises:
        UserError: the data, the weights or the configuration do not fit together.
    """
    _choose_arithmetic(config)
    device = dist.pick_device(config.trainer.device)
    data = load_data(config.data)
    seeds.seed_step(config.seed, "init")
    model, preprocess = build_model(config, data, saved)
    macs = layers.multiply_adds(model, preprocess.channels, preprocess.image_size)
    policy, model = config.transfer, prepared(config, model, preprocess)
    model.to(device, DTYPES["float64"] if config.trainer.precision == "float64" else torch.float32)
    known = saved.get("transfer", {}) if saved is not None else None
    policy.load_state_dict(_decision(config, data, model, preprocess, device) if known is None else known)
    freezing = Freezing(model, policy)
    rates = policy.rate_multipliers(model, freezing.head)
    groups = parameter_groups(model, config.optim, rates, policy.decay_multipliers(model))
    share = Share(dist.rank(), dist.world_size(), config.trainer.grad_accum)
    return Run(
        config=config,
        data=data,
        device=device,
        model=model,
        freezing=freezing,
        optimizer=load_by_name(config.optim.build(groups)),
        criterion=Criterion(config.trainer.label_smoothing, config.model.aux_weight),
        loaders=Loaders.build(config, data, preprocess, device, share),
        macs=macs,
    )






def load_data(data: Data) -> DataSet:
    """Load the set, on rank 0 first since it may download, and take what is asked for of it."""
    with dist.first_rank_first():
        loaded = data.load()
    return reduced(loaded, data.classes, data.train_per_class, data.split_seed)


def build_model(config: TrainConfig, data: DataSet, saved: dict[str, Any] | None) -> tuple[nn.Module, Preprocess]:
    """The model with its initial weights, and the preprocessing that goes with them."""
    pretrained = bool(config.model.pretrained) and saved is None
    seen = saved["preprocess"]["image_size"] if saved is not None else config.data.image_size or data.native_size
    source = weights.read(Path(config.model.weights)) if config.model.weights and saved is None else None
    small_stem = saved["small_stem"] if saved is not None else source.small_stem if source is not None else None
    with dist.first_rank_first():
        model = create(config.model, len(data.classes), data.channels, seen, pretrained, small_stem)
    if saved is not None:
        return model, Preprocess(**saved["preprocess"])
    if source is not None:
        weights.load(model, source, data.classes)
    size = seen or _own_size(model)
    mean, std = _statistics(config, data, size, model, source)
    return model, Preprocess(data.channels, size, mean, std)


def prepared(config: TrainConfig, model: nn.Module, preprocess: Preprocess) -> nn.Module:
    """What the transfer policy makes of the model, which has its initial weights.

    Raises:
        ConfigError: the policy does not fit the model.
    """
    classes, small_stem = int(cast(Any, model).num_classes), getattr(model, "small_stem", False)

    def make_random() -> nn.Module:
        shape = classes, preprocess.channels, preprocess.image_size
        return create(config.model, *shape, pretrained=False, small_stem=small_stem)

    image = torch.zeros(1, preprocess.channels, preprocess.image_size, preprocess.image_size)
    loaded = bool(config.model.pretrained) or config.model.weights is not None
    return config.transfer.prepare(model, image, make_random if loaded else None)


def _decision(
    config: TrainConfig, data: DataSet, model: nn.Module, preprocess: Preprocess, device: torch.device
) -> dict[str, Any]:
    """What the policy decides by, from the model with its initial weights and the training images."""
    samples = Samples(data.train, config.augment.eval_transform(preprocess.image_size), None)
    loader = Loader(samples, config.data.num_workers, preprocess, device, input_dtype(config))
    size = config.data.batch_size

    def images(rows: Sequence[int]) -> Iterator[Tensor]:
        plan = [[(0, row) for row in rows[start : start + size]] for start in range(0, len(rows), size)]
        return (batch for batch, _ in loader.batches(plan))

    outset = Outset(model, data.train.labels, len(data.classes), images)
    return dist.from_first(lambda: config.transfer.decide(outset))


def _own_size(model: nn.Module) -> int:
    return getattr(model, "pretrained_cfg", {}).get("input_size", (3, DEFAULT_SIZE, DEFAULT_SIZE))[-1]


def _statistics(
    config: TrainConfig, data: DataSet, size: int, model: nn.Module, source: weights.Source | None
) -> tuple[list[float], list[float]]:
    """Mean and deviation a channel, as ``augment.normalize`` chooses them."""
    choice = config.augment.normalize
    if choice == "data" or (choice == "auto" and source is None and not config.model.pretrained):
        return mean_and_deviation(data.train, config.augment.eval_transform(size))
    if source is not None and source.preprocess is not None and source.preprocess["channels"] == data.channels:
        return source.preprocess["mean"], source.preprocess["std"]
    return pretrained_statistics(model, data.channels)


def _choose_arithmetic(config: TrainConfig) -> None:
    if config.trainer.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is repeatable only with a fixed workspace
    torch.use_deterministic_algorithms(config.trainer.deterministic)
    torch.backends.cudnn.deterministic = config.trainer.deterministic
    torch.backends.cudnn.benchmark = not config.trainer.deterministic
