"""The two kinds of methods: maps of what an answer rests on, and pictures of a network. Importing this module imports
nothing heavy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from cnntrain.config.method import Method

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from torch import Tensor

    from cnntrain.study.explain.subject import Shown, Subject


@dataclass(frozen=True)
class Maps:
    """How much each pixel counts for a class.

    Attributes:
        values: [images, ...], of the sides of what the network sees: length; height and width; or frames, height and
            width. Above 0 speaks for the class, below 0 against it.
        facts: of each image what the method found beside its map, plain values.
        notes: lines for the user, on all of them.
    """

    values: Tensor
    facts: Sequence[Mapping[str, Any]] | None = None
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Attribution(Method):
    """Gives a map for each image and class."""

    uses_layer: ClassVar[bool] = False  # whether `layer` means anything to it

    def maps(self, subject: Subject, inputs: Tensor, targets: Tensor) -> Maps:
        """The maps of a batch. The network is in evaluation mode with all parameters frozen, and gradients are on.

        Args:
            inputs: [images, channels, ...], normalised, as the network sees them.
            targets: the position of a class for each image, int64 [images].

        Raises:
            InputError: the network is not of the kind that the method is for.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Cloud:
    """Images as points, of as many dimensions as they have features.

    Attributes:
        features: float32 [images, features].
        names, labels: of each.
        thumbnails: uint8 [images, side, side, 3].
    """

    features: np.ndarray
    names: Sequence[str]
    labels: Sequence[str]
    thumbnails: np.ndarray


@dataclass(frozen=True)
class Picture:
    """Attributes:
    name: of the file, without an ending.
    arrays: what was drawn, which goes into ``arrays.npz`` as ``<name>/<key>``.
    facts: plain values for ``explain.json``.
    cloud: for TensorBoard's projector.
    """

    name: str
    figure: Figure
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    cloud: Cloud | None = None


@dataclass(frozen=True)
class Pictures(Method):
    """Draws pictures of a network, of its answers to images where it needs any.

    Unless it says otherwise by its `dimensions`, it is of images alone.
    """

    dimensions: ClassVar[frozenset[int]] = frozenset({2})
    needs_images: ClassVar[bool] = True
    uses_layer: ClassVar[bool] = False  # whether `layer` means anything to it
    has_layer: ClassVar[bool] = True  # whether without one that means `Subject.at`; else several, or none

    def pictures(self, subject: Subject, shown: Shown) -> Iterator[Picture]:
        """The pictures, one after the other. The network is as in `Attribution.maps`.

        Args:
            shown: no images where `needs_images` is false.

        Raises:
            InputError: the network is not of the kind that the method is for.
        """
        raise NotImplementedError
