"""Integrated gradients (Sundararajan et al. 2017, arXiv:1703.01365)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnntrain.core.limits import Count
from cnntrain.study.explain.base import Attribution, Maps

if TYPE_CHECKING:
    from torch import Tensor

    from cnntrain.study.explain.subject import Subject


@dataclass(frozen=True)
class IntegratedGradients(Attribution):
    """What each pixel adds on the way from the mean colour to the image, summed over its channels.

    All pixels together are the difference of the class's logits at both ends; by how much they miss it is
    ``completeness_error``, which more steps make smaller.
    """

    steps: Count

    def maps(self, subject: Subject, inputs: Tensor, targets: Tensor) -> Maps:
        from cnntrain.study.explain import gradients

        found = gradients.integrated(subject, inputs, targets, self.steps)
        sums = found.values.double().flatten(1).sum(1)
        facts = [
            {"logit": end, "baseline_logit": start, "completeness_error": abs(total - (end - start))}
            for end, start, total in zip(found.ends.tolist(), found.starts.tolist(), sums.tolist(), strict=True)
        ]
        return Maps(found.values.sum(1), facts)
