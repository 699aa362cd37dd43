"""What a run trains and what that is fed with, as long as the same parameters are frozen.

Where part of the network is frozen, the rest of it is trained on the values at the cut. They are computed once and
kept where the images are seen alike in every epoch, else for each batch. The loop sees batches, and cannot tell.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import nn

from cnntrain.core import dist, seeds
from cnntrain.data.batches.feed import Feed
from cnntrain.transfer.frozen import keeping
from cnntrain.transfer.frozen.activations import Computed, Kept
from cnntrain.transfer.frozen.cut import EXAMPLES, Split, split
from cnntrain.transfer.frozen.trace import UnsplittableError

if TYPE_CHECKING:
    from cnntrain.train.run import Run


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
    prefix = keeping.Prefix(parts, run)
    held = keeping.activations(run, parts, prefix)
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
