"""How often the ranks ask each other, and the device, whether to go on: seldom enough to cost nothing."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from cnntrain.core import dist

SECONDS = 0.5
MOST = 100  # steps: some may take far longer than those before


class Poll:
    """Called after each step, on all ranks; true on all of them in the same steps.

    Args:
        device: that of the steps. One process on a CPU has nobody to wait for and asks after every step.
    """

    def __init__(self, device: torch.device, clock: Callable[[], float] = time.monotonic):
        self.clock = clock
        self.is_free = device.type == "cpu" and dist.world_size() == 1
        self._steps = self._left = 1  # between two questions, and of them to the next
        self._then = clock()

    def __call__(self) -> bool:
        self._left -= 1
        if self._left:
            return False
        seconds, self._then = self.clock() - self._then, self.clock()
        if not self.is_free:
            steps = int(self._steps * SECONDS / seconds) if seconds > 0 else MOST
            self._steps = dist.largest(max(1, min(steps, 2 * self._steps, MOST)))
        self._left = self._steps
        return True
