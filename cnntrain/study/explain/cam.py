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
    """A map at `Subject.at`, resized to the image (bilinear, as captum's and the papers' code do)."""

    uses_layer = True

    def maps(self, subject: Subject, inputs: Tensor, targets: Tensor) -> Maps:
        """Raises InputError where the layer gives no maps [images, channels, height, width]."""
        from torch.nn.functional import interpolate

        from cnntrain.study.explain.gradients import at_layer

        activations, gradients = at_layer(subject, inputs, targets)
        small = self.weighted(activations, gradients)
        large = interpolate(small[:, None], inputs.shape[2:], mode="bilinear", align_corners=False)[:, 0]
        return Maps(large)

    def weighted(self, activations: Tensor, gradients: Tensor) -> Tensor:
        """The map at the layer, [images, height, width].

        Args:
            activations: [images, channels, height, width].
            gradients: of each image's class's logit, of the same shape.
        """
        raise NotImplementedError
