"""Two detectors by what they find in the same images."""

from __future__ import annotations

import torch
from torch import Tensor

from cnntrain.tasks.comparison import Difference
from cnntrain.tasks.detect.metrics import Judged
from cnntrain.tasks.detect.rows import BOX, CLASS, FOUND, KIND, SCORE, SURE

CLOSE = 1.0  # pixels, within which the sides of boxes of one class are that of one object
ALIKE = 0.99  # overlap of the masks of one object, at least
FEW = 0.005  # of all detections


class OfDetections:
    """A detection is in both where it has a partner of its class whose box is nearest to its own, within `CLOSE` on
    each side, and whose mask is `ALIKE`: the rest are other ones.

    The largest difference is of the partners' scores, or of the sides of their boxes in shares of the longer one; or it
    is the share of other ones among all, where they are more than a `FEW`: a graph may decide otherwise where a score
    or an overlap is hardly above a threshold.
    """

    def __init__(self) -> None:
        self._changed = self._compared = 0
        self._largest = torch.zeros((), dtype=torch.float64)

    def add(self, one: Judged, other: Judged) -> None:
        for number, rows in enumerate(zip(one.rows, other.rows, strict=True)):
            first, second = (each[each[:, KIND] == FOUND].double() for each in rows)
            ours, theirs = _partners(first, second)
            if one.masks is not None and other.masks is not None:
                alike = _overlaps(one.masks[number][ours], other.masks[number][theirs]) >= ALIKE
                ours, theirs = ours[alike], theirs[alike]
            self._changed += len(first) + len(second) - 2 * len(ours)
            self._compared += len(first) + len(second) - len(ours)
            self._see(first[ours], second[theirs])

    def _see(self, first: Tensor, second: Tensor) -> None:
        if not len(first):
            return
        sides = first[:, BOX][:, 2:] - first[:, BOX][:, :2]
        moved = (first[:, BOX] - second[:, BOX]).abs().amax(1) / sides.amax(1).clamp(min=1)
        scores = (first[:, SCORE] - second[:, SCORE]).abs()
        for each in (moved, scores):
            self._largest = torch.maximum(self._largest, each.max().cpu())  # which keeps nan

    def difference(self) -> Difference:
        share = torch.tensor(self._changed / max(self._compared, 1), dtype=torch.float64)
        largest = self._largest if share <= FEW else torch.maximum(self._largest, share)
        number = "a score, or of a box in shares of its side,"
        return Difference(self._changed, self._compared, float(largest), "detections", number)


def _partners(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """The places of those that are each other's nearest."""
    if not len(first) or not len(second):
        none = torch.empty(0, dtype=torch.int64)
        return none, none
    apart = (first[:, None, BOX] - second[None, :, BOX]).abs().amax(2)
    apart = torch.where(first[:, None, CLASS] == second[None, :, CLASS], apart, torch.inf)
    nearest, back = apart.argmin(1), apart.argmin(0)
    ours = torch.arange(len(first), device=first.device)
    kept = (back[nearest] == ours) & (apart[ours, nearest] <= CLOSE)
    return ours[kept], nearest[kept]


def _overlaps(one: Tensor, other: Tensor) -> Tensor:
    """Intersections over unions of pairs of masks [n, height, width]; 1 of two that are empty."""
    first, second = (each.flatten(1) >= SURE for each in (one, other))
    whole = (first | second).sum(1)
    return torch.where(whole > 0, (first & second).sum(1) / whole.clamp(min=1), 1.0)
