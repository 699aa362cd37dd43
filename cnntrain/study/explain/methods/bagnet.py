"""Local evidence of a BagNet (Brendel and Bethge 2019, arXiv:1904.00760)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnntrain.study.explain.base import Attribution, Maps

if TYPE_CHECKING:
    from torch import Tensor

    from cnntrain.study.explain.subject import Subject


@dataclass(frozen=True)
class Bagnet(Attribution):
    """The logit that each window of 9, 17 or 33 pixels would have alone. Their mean is the image's logit: this is no
    estimate but the network's own sum, and is checked for each image."""

    dimensions = frozenset({2})

    def of_whole(self, layer: str | None) -> bool:
        return True

    def maps(self, subject: Subject, inputs: Tensor, targets: Tensor) -> Maps:
        """Raises InputError where the network is no BagNet, and RunError where the mean is not the logit."""
        from cnntrain.study.explain import evidence

        found = evidence.local(subject, inputs, targets)
        facts = [
            {
                "logit": logit,
                "mean_evidence": mean,
                "evidence_error": abs(mean - logit),
                "windows": found.local[0].numel(),
            }
            for logit, mean in zip(found.logits.tolist(), found.means.tolist(), strict=True)
        ]
        return Maps(evidence.spread(found.local, inputs.shape[2:], found.field, found.jump), facts)
