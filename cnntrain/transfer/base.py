"""What a transfer policy is: pure functions of (groups, epoch): what is trained, how fast. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from cnntrain.core.limits import Count, Place, Positive
from cnntrain.core.units import bytes_of

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

    from cnntrain.data.batches.feed import Batch
    from cnntrain.transfer.groups import Group


@dataclass(frozen=True)
class Outset:
    """A run before its first step, as far as a policy may ask.

    Attributes:
        model: with its initial weights, on its device.
        labels: int64 [n], the classes of the training images.
        classes: how many there are.
        images: training images by their positions, in batches, as the network sees them when it is evaluated.
    """

    model: nn.Module
    labels: np.ndarray
    classes: int
    images: Callable[[Sequence[int]], Iterator[Tensor]]


@dataclass(frozen=True)
class Finished:
    """A run at its end, as far as a policy may ask; every rank asks the same.

    Attributes:
        model: as it was validated, with its final weights.
        parts: those to judge it by: val, and test where there is one.
        judge: the metrics of each setting over a part, in order: ``loss``, ``top1``, ``top5``, ``count``.
        batches: all images of a part, train too, as the network sees them; on every rank.
        once: what a function returns on the first rank, which alone calls it.
        heed: raises StopError where a signal came to this rank; for what the first rank does alone.
        say: shows a line or a table.
        val: in words, what settings are chosen by.
        majority: by part, the accuracy of its most frequent answer; empty where the task has none.
        lr, weight_decay: the optimizer's.
    """

    model: nn.Module
    parts: Sequence[str]
    judge: Callable[[str], Sequence[Mapping[str, float]]]
    batches: Callable[[str], Iterator[Batch]]
    once: Callable[[Callable[[], Any]], Any]
    heed: Callable[[], None]
    say: Callable[[Any], None]
    folder: Path
    val: str
    majority: Mapping[str, float]
    lr: float
    weight_decay: float


@dataclass(frozen=True)
class Transfer:
    """The keys that every policy has. A policy is a subclass in a file of its own.

    Epochs count from 0. What a policy answers depends on its keys, the arguments and what it measured at the start of
    the run, never on the past. `fixed` are keys of its own that a run under way cannot change, since the form or the
    meaning of what a checkpoint holds depends on them. One of `one_label` is for images that have one each.
    """

    fixed: ClassVar[tuple[str, ...]] = ()
    one_label: ClassVar[bool] = False

    name: str
    head_lr_multiplier: Positive  # on optim.lr, for the classifier's parameters

    @property
    def wants_pretrained(self) -> bool:
        """Whether ``model.pretrained`` is implied: features that stay as they are must have been learned somewhere."""
        return True

    @property
    def loads_weights(self) -> bool:
        """Whether weights are loaded, where ``model.weights`` or ``model.pretrained`` give any; else all are random."""
        return True

    def frozen(self, groups: Sequence[str], epoch: int) -> list[bool]:
        """Whether each group is frozen in `epoch`: what a policy that freezes whole groups defines.

        Args:
            groups: names of the model's coarse groups from the stem on; the last is the head (the classifier).

        Raises:
            ConfigError: the policy does not fit a model of these groups.
        """
        raise NotImplementedError

    def frozen_parameters(self, groups: Sequence[Group], epoch: int) -> set[str]:
        """Names of the parameters that are frozen in `epoch`.

        Raises:
            ConfigError: the policy does not fit a model of these groups.
        """
        states = self.frozen([group.name for group in groups], epoch)
        return {name for group, frozen in zip(groups, states, strict=True) if frozen for name in group.parameters}

    def rate_multiplier(self, epoch: int) -> float:
        """The factor on every learning rate in `epoch`, besides the schedule's."""
        return 1.0

    def rate_multipliers(self, model: nn.Module, head: set[str]) -> dict[str, float]:
        """The factor on ``optim.lr`` for each parameter of `model`; the rate that a run shows is the first one's.

        Args:
            head: names of the classifier's parameters.
        """
        names = [name for name, _ in model.named_parameters()]
        body = {name: 1.0 for name in names if name not in head}
        return body | {name: self.head_lr_multiplier for name in names if name in head}

    def decay_multipliers(self, model: nn.Module) -> dict[str, float]:
        """The factor on ``optim.weight_decay`` of the parameters of `model` that have another than 1."""
        return {}

    @property
    def side_by_side(self) -> bool:
        """Whether several networks are trained at once, each as if it were alone."""
        return False

    def decide(self, run: Outset) -> dict[str, Any]:
        """What the policy measures once in a run's life, as plain values: its `state_dict` from then on."""
        return {}

    def start(self, measured: Mapping[str, Any]) -> Transfer:
        """The policy in a run, with what `decide` gave, here or in the run that is resumed.

        Args:
            measured: empty where another policy began the run.
        """
        return self

    def state_dict(self) -> dict[str, Any]:
        """What is kept in checkpoints, besides the keys."""
        return {}

    def decision(self) -> dict[str, Any]:
        """What follows from it, for ``result.json``."""
        return {}

    def notes(self) -> list[str]:
        """What a run says of it before its first step."""
        return []

    def prepare(self, model: nn.Module, image: Tensor, make_random: Callable[[], nn.Module] | None) -> nn.Module:
        """What is trained: `model`, which has its initial weights, or a network made of it.

        Args:
            image: one, of the shape that the network is given.
            make_random: another of its kind with random weights; None where the model's own are random.

        Raises:
            ConfigError: the policy does not fit the model.
        """
        return model

    def conclude(self, run: Finished) -> dict[str, Any]:
        """What the policy has to say at the end of a run: entries for its ``result.json``."""
        return {}


@dataclass(frozen=True)
class PartlyFrozen(Transfer):
    """The keys of every policy that freezes something: what becomes of the values that the frozen part computes."""

    cache: Literal["auto", "ram", "disk", "off"]  # auto: ram where it fits, else disk, else off
    cache_dtype: Literal["computed", "float16", "bfloat16"]
    cache_budget: str  # at most so much RAM or disk, such as 8GiB
    cache_dir: Place | None
    views: Count | None  # augmented versions of each image that are kept, where the augmentation is random

    def __post_init__(self) -> None:
        if bytes_of(self.cache_budget) is None:
            raise ValueError(f"cache_budget must be a size such as 500MB or 8GiB, not {self.cache_budget}")
        if self.cache_dir == "":
            raise ValueError("cache_dir must be a folder; null takes the default")
        if self.cache == "off" and (self.views is not None or self.cache_dtype != "computed"):
            key = "views" if self.views is not None else "cache_dtype"
            raise ValueError(f"{key}={getattr(self, key)} is of values that are kept: not with cache=off")
