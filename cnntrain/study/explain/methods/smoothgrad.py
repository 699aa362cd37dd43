"""SmoothGrad (Smilkov et al. 2017, arXiv:1706.03825)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnntrain.core.limits import Count, Positive
from cnntrain.study.explain.base import Attribution, Maps

if TYPE_CHECKING:
    from torch import Tensor

    from cnntrain.study.explain.subject import Subject


@dataclass(frozen=True)
class Smoothgrad(Attribution):
    """The mean gradient of images with noise; of its channels the greatest, without its sign.

    The noise is a function of the seed and of what is seen: an image has the same map in whatever company.
    """

    samples: Count
    noise: Positive  # deviation, of the range of the image's values

    def maps(self, subject: Subject, inputs: Tensor, targets: Tensor) -> Maps:
        import torch

        from cnntrain.study.explain import gradients, noise

        generators = [noise.generator(subject.seed, image) for image in inputs]
        flat = inputs.flatten(1)
        deviation = self.noise * (flat.amax(1) - flat.amin(1)).view(-1, *[1] * (inputs.ndim - 1))
        total = torch.zeros_like(inputs)
        for _ in range(self.samples):
            drawn = torch.stack([noise.normal(each, inputs[0]) for each in generators])
            total += gradients.of_image(subject, inputs + deviation * drawn, targets)[0]
        return Maps((total / self.samples).abs().amax(1))
