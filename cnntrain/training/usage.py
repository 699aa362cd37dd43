"""What a command takes of time and memory, from its start: a sweep's jobs share a process, and each tells its own."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from pathlib import Path

import torch

from cnntrain.core import dist

PROCESS = Path("/proc/self")  # Linux's


class Usage:
    """Of this process: loaders' workers, which have the images that they read, are not in it.

    Args:
        device: whose memory is meant: a GPU's, or else this process's.
        start: by the clock, when the command began.
    """

    def __init__(
        self, device: torch.device, start: float | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.device = device
        self.clock = clock
        self.start = clock() if start is None else start
        self.first_step: float | None = None  # seconds until it was done
        self.is_own = _forget_peak(device)

    def step_done(self) -> None:
        if self.first_step is None:
            self.first_step = self.seconds

    @property
    def seconds(self) -> float:
        return self.clock() - self.start

    def peak_memory(self) -> int:
        """Bytes."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        return _peak() if self.is_own else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    def peak_memory_of(self, workers: int) -> str:
        """What `peak_memory` counts, for people."""
        if self.device.type == "cuda":
            return f"tensors on {self.device}"
        since = "" if self.is_own else ", since the process began"
        ranks = f", the first of {dist.world_size()}" if dist.world_size() > 1 else ""
        return f"this process{ranks}{f', without its {workers} workers a loader' if workers else ''}{since}"


def _forget_peak(device: torch.device) -> bool:
    """Let the peak be that of what comes; whether that is possible here."""
    if device.type == "cuda":
        torch.cuda.init()  # else there is nothing to reset, which is an error
        torch.cuda.reset_peak_memory_stats(device)
        return True
    try:
        (PROCESS / "clear_refs").write_text("5", encoding="ascii")
        return _peak() > 0
    except (OSError, LookupError):  # of another system, or forbidden
        return False


def _peak() -> int:
    """The most memory that this process had at once, bytes; LookupError where the system does not tell."""
    fields = dict(line.split(":", 1) for line in (PROCESS / "status").read_text(encoding="utf-8").splitlines())
    return int(fields["VmHWM"].split()[0]) * 1024
