"""timm's Inception-v3 with its auxiliary head in training only.

Szegedy et al., Rethinking the Inception architecture for computer vision, 2015 (arXiv:1512.00567).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from timm.models.inception_v3 import InceptionAux as TimmInceptionAux
from timm.models.inception_v3 import InceptionV3 as TimmInceptionV3
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

HEAD, STAGE = "AuxLogits", "Mixed_6e"
SIDE = 17  # pixels of the map that the head reads in 299x299 images


class InceptionAux(TimmInceptionAux):
    """A map (N, 768, H, W) to logits. A map of fewer than 17 pixels a side is first stretched to that, for the head's
    two windows of 5x5 fit no smaller one."""

    def forward(self, x: Tensor) -> Tensor:
        if min(x.shape[-2:]) < SIDE:
            x = adaptive_avg_pool2d(x, SIDE)
        return super().forward(x)


class InceptionV3(TimmInceptionV3):
    """(logits, the head's logits) in training, where timm's own returns both in evaluation too."""

    AUXILIARY: ClassVar[dict[str, str]] = {HEAD: STAGE}

    def group_matcher(self, coarse: bool = False) -> Callable[[str], float]:
        """As `AuxiliaryNet` has it: the head goes with the stage that it reads if coarse, else with the classifier."""
        matcher, group = super().group_matcher(coarse), STAGE if coarse else "fc"
        return lambda name: matcher(group + name.removeprefix(HEAD) if name.startswith(HEAD) else name)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        if self.AuxLogits is None or not self.AuxLogits.training:
            return super().forward(x)
        inner = self.forward_preaux(x)
        return self.forward_head(self.forward_postaux(inner)), self.AuxLogits(inner)


def adapt(model: nn.Module) -> None:
    """Make timm's Inception-v3, built under any of its names and tags, the one above; leave others as they are."""
    if isinstance(model, TimmInceptionV3):
        model.__class__ = InceptionV3
        # or timm's methods would return the head's logits whatever the mode
        model.aux_logits = False  # type: ignore[misc]
        if model.AuxLogits is not None:
            model.AuxLogits.__class__ = InceptionAux
