"""What a network answered to each sample of an evaluation, over all ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cnntrain.core import dist
from cnntrain.data.sets.dataset import Part
from cnntrain.runs.counts import Counts, Given
from cnntrain.runs.objects import Objects
from cnntrain.runs.predictions import Predictions
from cnntrain.tasks.base import Objective, UnchosenError


class Answers:
    """Sees the batches of an evaluation that goes through `eval_plan`, and keeps them on their device until the end.

    Args:
        setting: of networks side by side the one that counts; None: there is one network, or none is chosen yet.
    """

    def __init__(self, objective: Objective, setting: int | None = None):
        self._objective = objective
        self._has_answers = getattr(objective, "has_answers", True)
        self._setting = setting
        self._kept: list[Tensor] = []
        self._losses: list[Tensor] = []

    def __call__(self, judged: Any, targets: Any) -> None:
        if not self._has_answers:
            return
        judged = self._logits(judged) if isinstance(judged, Tensor) else judged
        self._kept.append(self._objective.answers(judged, targets))
        self._losses.append(self._objective.each_loss(judged, targets))

    def _logits(self, judged: Tensor) -> Tensor:
        if self._setting is None and judged.ndim == 3:
            raise UnchosenError
        judged = judged if self._setting is None else judged[self._setting]
        return judged if judged.dtype == torch.float64 else judged.float()

    def of(self, part: Part, classes: Sequence[str], about: Mapping[str, Any]) -> Given | None:
        """On rank 0 the predictions of all ranks' samples, which are those of `part`; None on the others, and where the
        task answers to none. All ranks call this."""
        if not self._has_answers:
            return None
        kept, losses = (_in_order(dist.gathered(_together(each))) for each in (self._kept, self._losses))
        if kept is None or losses is None:
            return None
        assert len(kept) == len(part), "every sample is judged once"
        if kept.ndim > 2 and kept.dtype.kind == "f":  # of each image a table
            return Objects(part.ids, kept, losses, classes, about)
        if kept.ndim > 2:  # more than a row of logits each
            return Counts(part.ids, kept, losses, classes, about)
        return Predictions(part.ids, part.labels, kept, losses, classes, about)


def _together(batches: list[Tensor]) -> Tensor:
    return torch.cat(batches) if batches else torch.empty(0)


def _in_order(shares: list[Tensor]) -> np.ndarray | None:
    """The rows of the ranks' shares, of which each has every so many-th; None of no shares."""
    if not shares:
        return None
    rows = shares[0].new_empty(sum(map(len, shares)), *shares[0].shape[1:])
    for rank, share in enumerate(shares):
        if len(share):
            rows[rank :: len(shares)] = share
    return rows.numpy()
