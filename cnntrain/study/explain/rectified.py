"""Gradients of the image whose way back through activations is another one. Importing this module imports nothing
heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from cnntrain.study.explain.base import Attribution, Maps

if TYPE_CHECKING:
    from torch import Tensor

    from cnntrain.study.explain.subject import Subject


@dataclass(frozen=True)
class Rectified(Attribution):
    """Of a pixel's channels the greatest, without its sign."""

    way: ClassVar[Literal["guided", "deconvolution"]]

    def maps(self, subject: Subject, inputs: Tensor, targets: Tensor) -> Maps:
        from cnntrain.study.explain import backward, gradients

        gradient, met = backward.exchanged(
            subject.network, self.way, lambda: gradients.of_image(subject, inputs, targets)[0]
        )
        notes = [] if met else [f"{self.name}: the network has no ReLU or its kin, so that this is its plain gradient"]
        return Maps(gradient.abs().amax(1), notes=notes)
