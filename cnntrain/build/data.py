"""From a configuration to its data set, and to loaders of its parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from cnntrain.config.schema import TrainConfig
from cnntrain.core import dist
from cnntrain.data.base import Data
from cnntrain.data.batches.loader import Loader
from cnntrain.data.batches.plan import Plan, Share, step_batch
from cnntrain.data.batches.preprocess import Preprocess
from cnntrain.data.batches.samples import Samples, Transform
from cnntrain.data.sets.dataset import DataSet, Labelled, Part
from cnntrain.data.sets.subset import of_classes, reduced
from cnntrain.training.loaders import Loaders
from cnntrain.training.precision import weights_dtype
from cnntrain.transfer.base import Outset


def load_data(data: Data) -> DataSet:
    """Load the set, on rank 0 first since it may download, and take what is asked for of it."""
    with dist.first_rank_first():
        return read_data(data)


def read_data(data: Data) -> DataSet:
    """What is asked for of the set, in this process alone."""
    return reduced(data.load(), data.classes, data.train_per_class, data.split_seed)


def load_labelled(data: Data, part: str) -> Labelled:
    """Images that no run has divided, as `Data.labelled` gives them, of the classes that are asked for.

    Raises:
        InputError: none is left, or what `Data.labelled` raises.
    """
    with dist.first_rank_first():
        found = data.labelled(part)
    return found if data.classes is None else of_classes(found, data.classes)


def where_it_was(data: Data, saved: Mapping[str, Any]) -> Data:
    """The data of a run, from whatever folder: relative paths lead to where they led when its checkpoint was written,
    as long as that is there."""
    before = saved["config"]["data"]
    if data.name != before.get("name"):
        return data
    same: dict[str, Any] = {
        key: place
        for key, place in found_places(saved).items()
        if key in before and getattr(data, key, None) == before[key]
    }
    return replace(data, **same)


def found_places(saved: Mapping[str, Any]) -> dict[str, str]:
    """Of the files and folders that the data of a checkpoint were in those that are there still, by their keys."""
    return {key: place for key, place in saved["places"].items() if Path(place).exists()}


def eval_loader(config: TrainConfig, part: Part, seen: Preprocess, device: torch.device) -> Loader:
    """The part's images as an evaluation sees them."""
    return _loader(config, part, seen, device, seen.fit, None)


def _loader(
    config: TrainConfig, part: Part, seen: Preprocess, device: torch.device, transform: Transform, seed: int | None
) -> Loader:
    samples = Samples(part, transform, seed)
    return Loader(samples, config.data.num_workers, seen, device, weights_dtype(config.trainer.precision))


def make_loaders(
    config: TrainConfig, data: DataSet, model: nn.Module, seen: Preprocess, device: torch.device
) -> Loaders:
    """A loader for each part: training images augmented, the others as an evaluation sees them."""
    augment, share = config.augment, Share(dist.rank(), dist.world_size(), config.trainer.grad_accum)
    seed = config.seed if augment.is_random else None
    return Loaders(
        train=_loader(config, data.train, seen, device, augment.train_transform(seen), seed),
        val=eval_loader(config, data.val, seen, device),
        test=eval_loader(config, data.test, seen, device) if data.test is not None else None,
        share=share,
        preprocess=seen,
        batch_size=step_batch(config.data.batch_size, len(data.train), share),
        least=2 if any(isinstance(each, _BatchNorm) for each in model.modules()) else 1,
        seed=config.seed,
    )


def decision(
    config: TrainConfig, data: DataSet, model: nn.Module, seen: Preprocess, device: torch.device
) -> dict[str, Any]:
    """What the policy decides by, from the model with its initial weights and the training images."""
    loader = eval_loader(config, data.train, seen, device)

    def images(rows: Sequence[int]) -> Iterator[Tensor]:
        starts = torch.arange(0, len(rows), config.data.batch_size)
        ends = (starts + config.data.batch_size).clamp(max=len(rows))
        return (batch.inputs for batch in loader.batches(Plan(0, torch.tensor(rows), starts, ends)))

    outset = Outset(model, data.train.labels, len(data.classes), images)
    return dist.from_first(lambda: config.transfer.decide(outset))
