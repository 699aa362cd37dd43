"""What a run trains and what that is fed with, as long as the same parameters are frozen.

Where part of the network is frozen, the rest of it is trained on the values at the cut. They are computed once and
kept where the images are seen alike in every epoch, else for each batch. The loop sees batches, and cannot tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import nn

from cnntrain.core import dist, seeds
from cnntrain.data.batches.feed import Feed
from cnntrain.transfer.base import PartlyFrozen
from cnntrain.transfer.freezing import Freezing
from cnntrain.transfer.frozen import keeping
from cnntrain.transfer.frozen.activations import Computed, Kept, Prefix
from cnntrain.transfer.frozen.around import Around
from cnntrain.transfer.frozen.cut import EXAMPLES, Cut, cut_off
from cnntrain.transfer.frozen.trace import UncuttableError


@dataclass
class Phase:
    """What is trained and evaluated, and what both are fed with.

    Attributes:
        reads: the parts whose images are read in each epoch.
        remembered: what a resumed run must know of it, as plain values: the `cut` and what is `kept` for people, and
            by its `key` and `place` for the next start; None where the network is whole.
        seconds: that computing the training images' values took; 0 where none were kept, or they were found.
    """

    network: nn.Module
    eval_network: nn.Module
    train: Feed
    val: Feed
    reads: Sequence[str]
    remembered: dict[str, Any] | None = None
    seconds: float = 0.0

    def compile(self) -> None:
        """Let torch compile both networks, when they are first called."""
        same = self.eval_network is self.network
        self.network = cast(nn.Module, torch.compile(self.network))
        self.eval_network = self.network if same else cast(nn.Module, torch.compile(self.eval_network))


def begin(
    model: nn.Module,
    eval_model: nn.Module,
    freezing: Freezing,
    around: Around,
    before: Mapping[str, Any] | None,
) -> Phase:
    """Cut off what is frozen now, and compute what is kept of it.

    Args:
        before: what a run that is resumed remembered.

    Raises:
        ConfigError: what is to be kept does not fit where the configuration wants it.
        RunError: the disk is full or cannot be written.
        StopError: a signal came before all was computed.
    """
    cut = _cut(model, freezing, around)
    unused: Any = getattr(model, "unused", tuple)
    if cut is None:
        network = dist.wrap(model, around.device, unused)
        return Phase(network, eval_model, *around.feeds(), [*around.loaders])
    policy = freezing.policy
    assert isinstance(policy, PartlyFrozen)
    prefix = Prefix(cut.prefix, around.precision)
    held, place, seconds = keeping.activations(cut, prefix, policy, around, before)
    feeds: dict[str, Feed] = {
        part: Kept(held[part], loader, cut.dtypes) if part in held else Computed(loader, prefix)
        for part, loader in around.loaders.items()
    }
    suffix = cut.suffix(model)
    eval_suffix = suffix if eval_model is model else cut.suffix(eval_model)
    return Phase(
        network=dist.wrap(suffix, around.device, unused),
        eval_network=eval_suffix,
        train=feeds["train"],
        val=feeds["val"],
        reads=[part for part in feeds if part not in held],
        remembered={
            "key": cut.key,
            "place": place,
            "cut": cut.names,
            "kept": {part: held[part].place if part in held else "off" for part in feeds},
        },
        seconds=seconds,
    )


def _cut(model: nn.Module, freezing: Freezing, around: Around) -> Cut | None:
    if not freezing.names:
        return None
    images = torch.randn((EXAMPLES, *around.image_shape), generator=seeds.generator(around.seed, "cut"))
    images = images.to(around.device, around.loaders["train"].dtype)
    try:
        with around.precision:
            return cut_off(model, freezing.train_mode, images)
    except UncuttableError as error:
        around.say(
            f"note: the frozen part cannot be cut off {around.model} ({error}); it runs in every step, without autograd"
        )
        return None
