"""Saliency maps (Simonyan et al. 2013, arXiv:1312.6034)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnntrain.study.explain.base import Attribution, Maps

if TYPE_CHECKING:
    from torch import Tensor

    from cnntrain.study.explain.subject import Subject


@dataclass(frozen=True)
class Saliency(Attribution):
    """The gradient of the class's logit by each pixel, of its channels the greatest, without its sign."""

    def maps(self, subject: Subject, inputs: Tensor, targets: Tensor) -> Maps:
        from cnntrain.study.explain import gradients

        gradient, _ = gradients.of_image(subject, inputs, targets)
        return Maps(gradient.abs().amax(1))
