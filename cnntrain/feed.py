"""What a run trains and what that is fed with, as long as the same parameters are frozen.

Where part of the network is frozen, the rest of it is trained on the values at the cut. They are computed once and
kept where the images are seen alike in every epoch, else for each batch. The loop sees batches, and cannot tell.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import torch
from torch import nn

from cnntrain import dist, keep, seeds
from cnntrain.data.loader import Batch, Loader, Plan
from cnntrain.transfer.split import EXAMPLES, Split, split
from cnntrain.transfer.trace import UnsplittableError

if TYPE_CHECKING:
    from cnntrain.run import Run


class Feed(Protocol):
    """Where a part's batches come from; a `Loader` is one."""

    @property
    def waited(self) -> float:
        """Seconds that the consumer has waited for data."""
        ...

    def batches(self, plan: Plan) -> Iterator[Batch]: ...


@dataclass
class Division:
    """A phase of a run: what is trained and evaluated, and what both are fed with.

    Attributes:
        cut: names of the values that the trained part begins with; none where the network is whole.
        kept: where each part's values are kept: ram, disk, or off.
    """

    network: nn.Module
    eval_network: nn.Module
    train: Feed
    val: Feed
    cut: list[str] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)


def divide(run: Run) -> Division | None:
    """Cut off what is frozen now, and compute what is kept of it; None where a signal came meanwhile.

    Raises:
        ConfigError: what is to be kept does not fit where the configuration wants it.
    """
    loaders = run.loaders
    parts = _split(run)
    if parts is None:
        return Division(dist.wrap(run.model, run.device), run.eval_model, loaders.train, loaders.val)
    prefix = keep.Prefix(parts, run)
    held = keep.activations(run, parts, prefix)
    if held is None:
        return None
    feeds: dict[str, Feed] = {
        part: Kept(held[part], loader, parts.dtypes) if part in held else Computed(loader, prefix)
        for part, loader in (("train", loaders.train), ("val", loaders.val))
    }
    suffix = parts.suffix(run.model)
    eval_suffix = suffix if run.eval_model is run.model else parts.suffix(run.eval_model)
    kept = {part: held[part].place if part in held else "off" for part in feeds}
    return Division(dist.wrap(suffix, run.device), eval_suffix, feeds["train"], feeds["val"], parts.cut, kept)


def _split(run: Run) -> Split | None:
    if not run.freezing.names:
        return None
    seen = run.loaders.preprocess
    shape = (EXAMPLES, seen.channels, seen.image_size, seen.image_size)
    images = torch.randn(shape, generator=seeds.generator(run.config.seed, "split"))
    images = images.to(run.device, run.loaders.train.dtype)
    try:
        with run.precision:
            return split(run.model, run.freezing.train_mode, images)
    except UnsplittableError as error:
        run.report.say(
            f"note: the frozen part cannot be cut off {run.config.model.name} ({error}); it runs in every step, "
            "without autograd"
        )
        return None


class Computed:
    """The values at the cut, computed for each batch as it comes."""

    def __init__(self, loader: Loader, prefix: keep.Prefix):
        self.loader = loader
        self.prefix = prefix

    @property
    def waited(self) -> float:
        return self.loader.waited

    def batches(self, plan: Plan) -> Iterator[Batch]:
        for images, labels in self.loader.batches(plan):
            yield self.prefix(images), labels


class Kept:
    """The values at the cut, read from where they are kept: those of view e modulo the views in epoch e."""

    def __init__(self, held: keep.Held, loader: Loader, dtypes: list[torch.dtype]):
        self.held = held
        self.loader = loader
        self.dtypes = dtypes
        self.labels = torch.from_numpy(loader.samples.part.labels).to(loader.device)
        self.waited = 0.0

    def batches(self, plan: Plan) -> Iterator[Batch]:
        device, count = self.loader.device, len(self.loader.samples)
        for keys in plan:
            start = time.perf_counter()
            rows = torch.tensor([epoch % self.held.views * count + index for epoch, index in keys])
            pairs = zip(self.held.tensors, self.dtypes, strict=True)
            values = tuple(tensor.index_select(0, rows).to(device, dtype) for tensor, dtype in pairs)
            labels = self.labels[(rows % count).to(device)]
            self.waited += time.perf_counter() - start
            yield values, labels
