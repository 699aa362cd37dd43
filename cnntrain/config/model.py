"""The keys of ``model``. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cnntrain.config.refused_args import REFUSED_ARGS
from cnntrain.core.limits import Fraction, NotNegative, Place, Positive
from cnntrain.models import genotypes
from cnntrain.transfer.base import Transfer

if TYPE_CHECKING:
    from torch import nn

OVER_ANOTHER = (
    "fcn",
    "rcnn",
    "fast_rcnn",
    "faster_rcnn",
    "mask_rcnn",
    "retinanet",
    "ssdlite",
)  # networks whose trunk is another
SMALL_IMAGE = 64  # pixels a side, at most, for the stem that does not shrink


@dataclass(frozen=True)
class Scale:
    """How many times as deep, as wide and as finely seen a network is (Tan and Le 2019, arXiv:1905.11946)."""

    depth: Positive
    width: Positive
    resolution: Positive

    @property
    def changes_weights(self) -> bool:
        return (self.depth, self.width) != (1.0, 1.0)


@dataclass(frozen=True)
class Model:
    """Which network, and what it starts from."""

    name: str
    pretrained: bool | None  # None: as the transfer policy implies, unless `weights` is given
    weights: Place | None
    weights_match: Literal["names", "order"]  # by what the tensors of `weights` are told
    drop_rate: Fraction | None
    stem: Literal["auto", "imagenet", "cifar"]
    norm: Literal["batch", "layer", "instance", "group", "local", "none"] | None  # None: the network's own
    aux_weight: NotNegative  # of the loss of auxiliary heads, where `args` ask for them
    backbone: str | None  # of `OVER_ANOTHER`: another network's name
    scale: Scale
    genotype: Place | None  # of name=found; settled, what is in the file stands in `args`
    args: dict[str, Any]

    def __post_init__(self) -> None:
        if self.pretrained and self.weights is not None:
            raise ValueError("pretrained=true and weights=<file> exclude each other: give one of them")
        if self.weights_match == "order" and self.weights is None:
            raise ValueError("weights_match=order says how model.weights=<file> is read: give that too")
        refused = [key for key in self.args if key in REFUSED_ARGS]
        if refused:
            raise ValueError("; ".join(f"args.{key} is not offered: {REFUSED_ARGS[key]}" for key in refused))
        if (self.backbone is not None) != (self.name in OVER_ANOTHER):
            raise ValueError(
                f"backbone=<name> goes with model={' or '.join(OVER_ANOTHER)}, and the model is {self.name}"
            )
        if self.backbone is not None and "backbone" in self.args:
            raise ValueError("backbone=<name> and args.backbone say the same in two ways: leave one of them out")
        if self.genotype is not None and self.name != "found":
            raise ValueError(f"genotype=<file> is what model=found is built from, not {self.name}")
        if self.genotype is not None and "genotype" in self.args:
            raise ValueError("genotype=<file> and args.genotype say the same in two ways: leave one of them out")
        if self.pretrained and self.scale.changes_weights:
            raise ValueError("scale.depth and scale.width make another network than pretrained=true has weights for")
        if self.pretrained and self.norm not in (None, "batch"):
            raise ValueError(
                f"norm={self.norm} makes another network than published weights are for: pretrained=false begins with "
                "random ones"
            )

    def settled(self, transfer: Transfer) -> Model:
        """With what the policy decides: whether pretrained weights are meant, and whether any are loaded at all; and
        with the genotype in place of its file.

        Raises:
            ValueError: pretrained weights are asked for, and the policy loads none; or the file holds no genotype.
        """
        if self.genotype is not None:
            read = {**self.args, "genotype": genotypes.read(Path(self.genotype))}
            return replace(self, genotype=None, args=read).settled(transfer)
        weights, match, pretrained = self.weights, self.weights_match, self.pretrained
        if not transfer.loads_weights:
            if pretrained:
                raise ValueError(
                    f"model.pretrained=true: transfer={transfer.name} starts from random weights; transfer=full trains "
                    "everything from pretrained ones"
                )
            # not refused, so that one multirun can compare transfer=scratch with the others
            weights, match = None, "names"
        if pretrained is None:
            pretrained = transfer.wants_pretrained and weights is None
        return replace(self, weights=weights, weights_match=match, pretrained=pretrained)

    def create(
        self, classes: int, channels: int, size: int | None, pretrained: bool, small_stem: bool | None = None
    ) -> nn.Module:
        """The network for so many classes, input channels and pixels a side (None: its own size).

        Args:
            pretrained: whether it gets published weights, here and now.
            small_stem: whether its first layers keep a small image's size; None: as `stem` says.

        Raises:
            ConfigError: the constructor does not know an argument, or the name's tag does not exist.
            InputError: the pretrained weights cannot be had.
        """
        from cnntrain.models.create import create

        if small_stem is None or self.stem != "auto":
            small_stem = self.small_stem(size or SMALL_IMAGE + 1)
        args = {**self.args, **({} if self.drop_rate is None else {"drop_rate": self.drop_rate})}
        if self.backbone is not None:
            args["backbone"] = self.backbone
        stem: Literal["cifar", "small"] | None
        stem = "cifar" if self.stem == "cifar" else "small" if small_stem else None
        scale = (self.scale.depth, self.scale.width)
        return create(self.name, classes, channels, size, args, pretrained, stem, scale, self.norm)

    def scaled(self, image_size: int) -> int:
        """Pixels a side of images that the network sees, of the size that it would see unscaled."""
        return max(1, round(image_size * self.scale.resolution))

    def scaled_sides(self, sides: Sequence[int]) -> tuple[int, ...]:
        """The same of all sides of an input; a volume keeps its frames, which come before its height."""
        return (*sides[:-2], *map(self.scaled, sides[-2:]))

    def small_stem(self, image_size: int) -> bool:
        """Whether the net gets the stem for small images, where its family has one."""
        from_scratch = not self.pretrained and self.weights is None
        return self.stem == "cifar" or (self.stem == "auto" and from_scratch and image_size <= SMALL_IMAGE)
