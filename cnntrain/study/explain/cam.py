"""Class activation maps: what a layer's channels hold, weighted by how much they count for a class. Importing this
module imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnntrain.study.explain.base import Attribution, Maps

if TYPE_CHECKING:
    from torch import Tensor

    from cnntrain.study.explain.subject import Subject


@dataclass(frozen=True)
class CAM(Attribution):
    """A map at `Subject.at`, resized to the image (bilinear, as captum's and the papers' code do), the signal (linear)
    or the volume (trilinear)."""

    uses_layer = True

    def maps(self, subject: Subject, inputs: Tensor, targets: Tensor) -> Maps:
        """Raises InputError where the layer gives no maps [images, channels, ...] of as many sides as the inputs."""
        from cnntrain.study.explain.fields import laid
        from cnntrain.study.explain.gradients import at_layer

        activations, gradients = at_layer(subject, inputs, targets)
        return Maps(laid(subject, subject.at, self.weighted(activations, gradients), inputs.shape[2:]))

    def weighted(self, activations: Tensor, gradients: Tensor) -> Tensor:
        """The map at the layer, [images, ...].

        Args:
            activations: [images, channels, ...].
            gradients: of each image's class's logit, of the same shape.
        """
        raise NotImplementedError


def sides(values: Tensor) -> tuple[int, ...]:
    """The dimensions of [images, channels, ...] that are its sides."""
    return tuple(range(2, values.ndim))
