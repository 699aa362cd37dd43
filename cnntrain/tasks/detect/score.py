"""What of boxes is explained."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Protocol

import torch
from torch import Tensor

CLASS, SCORE, PLACE = 0, 1, slice(2, 6)  # of a detection

SURENESS = "the probability of the class's surest box"


class Found(Protocol):
    """See `models.box_net.Detected`."""

    boxes: Tensor | None


class BoxScore:
    """Of each class the score of its surest box, 0 where there is none. Which box that is, is not fixed: where it is
    hidden, another one of the class may be the surest."""

    nothing = "finds no box of it"

    def __init__(self, outputs: Found, classes: int):
        self.classes = classes
        self.boxes = _boxes(outputs).detach()

    @cached_property
    def answers(self) -> Tensor:
        """That of the surest box of all."""
        return self._surest(self.boxes)[0].argmax(1)

    def logits(self, outputs: Found) -> Tensor:
        return self._surest(_boxes(outputs))[0]

    def probabilities(self, outputs: Found) -> Tensor:
        return self.logits(outputs).double()

    def there(self, targets: Tensor) -> Tensor:
        return (self.boxes[..., CLASS] == targets[:, None]).any(1)

    def facts(self, targets: Tensor) -> list[dict[str, Any]]:
        """The place of the box, left, top, right and bottom in pixels of what the network sees, and how many boxes the
        class has."""
        counts = (self.boxes[..., CLASS] == targets[:, None]).sum(1)
        places = self._places(targets)
        return [
            {"score_is": SURENESS, "box": box, "boxes": count}
            for box, count in zip(places.tolist(), counts.tolist(), strict=True)
        ]

    def part(self, targets: Tensor, size: Sequence[int]) -> Tensor:
        """The pixels whose middles the box has."""
        left, top, right, bottom = (each[:, None, None] for each in self._places(targets).unbind(1))
        rows, columns = (torch.arange(each, device=targets.device) + 0.5 for each in size)
        down = (rows[:, None] >= top) & (rows[:, None] < bottom)
        return down & (columns >= left) & (columns < right)

    def _places(self, targets: Tensor) -> Tensor:
        """[images, 4] of the surest boxes."""
        images = torch.arange(len(targets), device=targets.device)
        return self.boxes[images, self._surest(self.boxes)[1][images, targets], PLACE]

    def _surest(self, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """Scores and rows of each class's surest box, [images, classes]."""
        numbers = torch.arange(self.classes, device=boxes.device)
        own = boxes[..., CLASS, None] == numbers
        return torch.where(own, boxes[..., SCORE, None], 0).max(1)


def _boxes(outputs: Found) -> Tensor:
    assert outputs.boxes is not None, "boxes are of evaluation mode"
    return outputs.boxes
