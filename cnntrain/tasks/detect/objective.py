"""Detection at work: the network's own losses, and what it found beside what is there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

from cnntrain.core.errors import ConfigError
from cnntrain.tasks.base import Column
from cnntrain.tasks.detect.metrics import Evaluated, Judged, Totals
from cnntrain.tasks.detect.rows import rows

Targets = Mapping[str, Tensor]


class Outputs(Protocol):
    """Of a network, see `models.box_net.Detected`."""

    losses: Callable[[Targets], Tensor]
    boxes: Tensor | None
    masks: list[Tensor] | None


class Detection:
    """The loss of a batch is the mean of its images' losses, of which each is as if the image were alone.

    Args:
        columns: that an evaluation has.
        of_masks: whether masks are judged.
    """

    def __init__(self, columns: Sequence[Column], of_masks: bool):
        self.columns = columns
        self.of_masks = of_masks

    def loss(self, outputs: Outputs, targets: Targets) -> tuple[Tensor, Tensor]:
        """What is judged are the losses of the images."""
        each = outputs.losses(targets)
        return each.mean(), each.detach()

    def plain_loss(self, outputs: Outputs, targets: Targets) -> tuple[Tensor, Judged]:
        """Raises ConfigError where masks are to be judged, and the network has none."""
        assert outputs.boxes is not None, "an evaluation is in evaluation mode"
        if self.of_masks and outputs.masks is None:
            raise ConfigError(
                "task.metrics: mask_map and mask_map50 are of model=mask_rcnn, and this network has no masks"
            )
        each = outputs.losses(targets)
        table = rows(outputs.boxes, targets, outputs.masks if self.of_masks else None)
        judged = Judged(each, table, outputs.masks)
        return each.double().mean(), judged

    def each_loss(self, judged: Judged, targets: Targets) -> Tensor:
        return judged.losses

    def answers(self, judged: Judged, targets: Targets) -> Tensor:
        """See `rows`."""
        return judged.rows

    def totals(self, device: torch.device) -> Totals:
        return Totals(device)

    def judged(self, device: torch.device) -> Evaluated:
        return Evaluated(device, self.columns)
