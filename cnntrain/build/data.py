"""From a configuration to its data set, and to loaders of its parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from cnntrain.build.sound import Once, sound, sound_labelled
from cnntrain.config.schema import TrainConfig
from cnntrain.core import cores, dist, store
from cnntrain.core.errors import ConfigError
from cnntrain.data.base import Data
from cnntrain.data.batches.holding import Holder
from cnntrain.data.batches.loader import Loader
from cnntrain.data.batches.plan import Plan, Share, step_batch
from cnntrain.data.batches.preprocess import Preprocess
from cnntrain.data.batches.room import Room
from cnntrain.data.batches.samples import Packing, Samples, Varied
from cnntrain.data.sets import cues
from cnntrain.data.sets.cues import Cues
from cnntrain.data.sets.dataset import DataSet, Labelled, Part
from cnntrain.data.sets.decode import Decoded
from cnntrain.data.sets.subset import of_classes, reduced
from cnntrain.training.loaders import Loaders
from cnntrain.training.precision import memory_format, weights_dtype
from cnntrain.transfer.base import Outset

T = TypeVar("T")

PACKED = 8 / 7  # the side of a packed image, of what the network sees: 256 for 224


def load_data(data: Data) -> DataSet:
    """Load the set, on rank 0 first since it may download, and take what is asked for of it."""
    return _asked(data, _loaded(data.load, _travels), dist.from_first)


def _loaded(load: Callable[[], T], travels: Callable[[T], bool]) -> T:
    """What rank 0 loads, on all ranks: sent to them, where it is small and all see the same files; else each of them
    loads it, too.

    On several machines files may be copies, of which one can be written anew: there each rank looks at its own.
    """
    if dist.world_size() == 1 or not dist.on_one_machine():
        with dist.first_rank_first():
            return load()
    own: list[T] = []

    def first() -> T | None:
        own.append(load())
        return own[0] if travels(own[0]) else None

    sent = dist.from_first(first)
    return own[0] if own else load() if sent is None else sent


def _travels(found: DataSet) -> bool:
    return all(map(_light, found.parts().values()))


def _light(part: Part) -> bool:
    """Whether its images can be sent to another process, as files that are named can."""
    return isinstance(part.images, Decoded) and part.images.travels


def read_data(data: Data) -> DataSet:
    """What is asked for of the set, in this process alone."""
    return _asked(data, data.load(), lambda make: make())


def _asked(data: Data, found: DataSet, once: Once) -> DataSet:
    """What is asked for of the set, of images that can be read where others are to be skipped."""
    if data.on_bad == "skip":  # of other classes none needs to be read, and what is drawn is drawn of sound ones
        found = reduced(found, data.classes, None, data.split_seed)
        return reduced(sound(data, found, workers(data), once), None, data.train_per_class, data.split_seed)
    return reduced(found, data.classes, data.train_per_class, data.split_seed)


def load_labelled(data: Data, part: str) -> Labelled:
    """Images that no run has divided, as `Data.labelled` gives them, of the classes that are asked for.

    Raises:
        InputError: none is left, or what `Data.labelled` raises.
    """
    found = _loaded(lambda: data.labelled(part), lambda found: _light(found.part))
    found = found if data.classes is None else of_classes(found, data.classes)
    return sound_labelled(found, workers(data), dist.from_first) if data.on_bad == "skip" else found


def load_cues(data: Data, root: str, classes: Sequence[str]) -> Cues:
    """Images whose cues conflict, read as those of `data` are.

    Raises:
        InputError: what `cues.read` raises.
    """
    found = cues.read(data, root, classes)
    if data.on_bad != "skip":
        return found
    return replace(found, images=sound_labelled(found.images, workers(data), dist.from_first))


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
    return _loader(config, Samples(part, seen.fit, None), seen, device)


def _train_loader(config: TrainConfig, data: DataSet, seen: Preprocess, device: torch.device) -> Loader:
    """The part's images, augmented: as they are read, or afterwards many at once."""
    augment, part = config.augment, data.train
    if not augment.is_random:
        return eval_loader(config, part, seen, device)
    samples = Samples(part, seen.fit, None)
    if not augment.reads_alike:
        samples = Samples(part, augment.drawn_transform(seen), config.seed)
    steps, mixing = augment.whole_transform(seen), augment.mixing(len(data.classes))
    return _loader(config, samples, seen, device, Varied(config.seed, steps, mixing, _packing(config, seen)))


def _packing(config: TrainConfig, seen: Preprocess) -> Packing | None:
    """That of the training images, where the configuration wants one.

    Crops of packed images differ from those of the images themselves, so where these are kept does not decide.
    """
    data, augment = config.data, config.augment
    if data.pack_size is None:
        if not augment.reads_alike and data.resident not in ("auto", "off"):
            raise ConfigError(
                f"data.resident={data.resident}: augment={augment.name} crops the images in their own size, which are "
                f"not kept; data.pack_size={round(seen.image_size * PACKED)} crops them squashed to that size"
            )
        return None
    side, transform = data.pack_size, augment.packed_transform(seen)
    if transform is None:
        raise ConfigError(
            f"data.pack_size={side} is for random resized crops, augment=imagenet, that data.interpolation=bilinear or "
            f"bicubic resizes: leave it out with augment={config.augment.name} and {seen.interpolation}"
        )
    return Packing(side, transform, seen.least(side))


def _loader(
    config: TrainConfig, samples: Samples, seen: Preprocess, device: torch.device, varied: Varied | None = None
) -> Loader:
    dtype, held_as = weights_dtype(config.trainer.precision), memory_format(config.trainer, device)
    return Loader(samples, workers(config.data), seen, device, dtype, held_as, varied)


def workers(data: Data) -> int:
    """How many processes read images for one loader: as many as this rank has of the cores that it may use."""
    if data.num_workers is not None:
        return data.num_workers
    return max(1, cores.usable() // dist.local_world_size())


def make_loaders(
    config: TrainConfig, data: DataSet, model: nn.Module, seen: Preprocess, device: torch.device
) -> Loaders:
    """A loader for each part: training images augmented, the others as an evaluation sees them."""
    share = Share(dist.rank(), dist.world_size(), config.trainer.grad_accum)
    return Loaders(
        train=_train_loader(config, data, seen, device),
        val=eval_loader(config, data.val, seen, device),
        test=eval_loader(config, data.test, seen, device) if data.test is not None else None,
        share=share,
        preprocess=seen,
        holder=_holder(config, data, seen),
        batch_size=step_batch(config.data.batch_size, len(data.train), share),
        least=2 if any(isinstance(each, _BatchNorm) for each in model.modules()) else 1,
        seed=config.seed,
        window=config.data.window,
        balance=config.data.balance,
    )


def _holder(config: TrainConfig, data: DataSet, seen: Preprocess) -> Holder:
    source = config.data
    root = store.root(source.cache_dir, "images")
    return Holder(
        mode=source.resident,
        room=Room(root, "data.cache_dir", "data.resident_budget", source.resident_budget),
        seen=seen,
        data=source.name,
        depends_on=[data.fingerprint, data.modified],
        batch_size=source.batch_size,
    )


def decision(
    config: TrainConfig, data: DataSet, model: nn.Module, seen: Preprocess, device: torch.device
) -> dict[str, Any]:
    """What the policy decides by, from the model with its initial weights and the training images."""
    outset = Outset(model, data.train.labels, len(data.classes), _train_images(config, data, seen, device))
    return dist.from_first(lambda: config.transfer.decide(outset))


def begin(config: TrainConfig, data: DataSet, model: nn.Module, seen: Preprocess) -> None:
    """Let a network whose weights are random, and which begins from training images, see some: as many as its
    ``begins_from`` says, spread evenly over the part, are given to its ``begin`` in batches, normalised.

    All ranks get what rank 0 finds.
    """
    begins_from = getattr(model, "begins_from", None)
    if begins_from is None or config.model.pretrained or config.model.weights is not None:
        return
    rows = torch.linspace(0, len(data.train) - 1, min(begins_from, len(data.train)), dtype=torch.float64).long()
    images = _train_images(config, data, seen, torch.device("cpu"))

    def begun() -> dict[str, Tensor]:
        cast(Any, model).begin(each.float() for each in images(rows.tolist()))  # in which weights are drawn
        return model.state_dict()

    model.load_state_dict(dist.from_first(begun))


def _train_images(
    config: TrainConfig, data: DataSet, seen: Preprocess, device: torch.device
) -> Callable[[Sequence[int]], Iterator[Tensor]]:
    """Training images by their positions, in batches, as the network sees them when it is evaluated."""
    loader = eval_loader(config, data.train, seen, device)

    def images(rows: Sequence[int]) -> Iterator[Tensor]:
        starts = torch.arange(0, len(rows), config.data.batch_size)
        ends = (starts + config.data.batch_size).clamp(max=len(rows))
        return (batch.inputs for batch in loader.batches(Plan(0, torch.tensor(rows), starts, ends)))

    return images
