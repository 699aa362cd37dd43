"""Room for what is kept: in RAM or on disk, within a budget, and in a GPU's memory."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from cnntrain.core import dist, store
from cnntrain.core.store import Entry
from cnntrain.core.units import bytes_of, in_bytes

RAM, DISK, OFF = "ram", "disk", "off"
FOUND = "found in"
SHARE = {RAM: 0.5, DISK: 0.9}  # of what is free, at most
DEVICE_SHARE = 0.5  # of what is free of a GPU's memory, at most


def fits_device(size: int, device: torch.device) -> bool:
    """Whether so many bytes may stay in a GPU's memory; on a CPU they are where they are."""
    return device.type == "cuda" and size <= DEVICE_SHARE * torch.cuda.mem_get_info(device)[0]


@dataclass(frozen=True)
class Room:
    """Where entries may be.

    Attributes:
        root: the folder of those on disk.
        folder_key, budget_key: of the configuration, for people.
        budget: of all entries together, such as ``8 GB``.
        free_memory, free_disk: bytes: of RAM (True: of what processes share), and where a folder is.
    """

    root: Path
    folder_key: str
    budget_key: str
    budget: str
    free_memory: Callable[[bool], int] = store.free_memory
    free_disk: Callable[[Path], int] = store.free_disk

    def place(self, entries: Sequence[Entry], wanted: Sequence[str]) -> tuple[str | None, str]:
        """The first of the `wanted` places that has room for the entries, None where none has; and why."""
        needed = sum(entry.size for entry in entries)
        if DISK in wanted and all(entry.is_in(self.root) for entry in entries):
            return DISK, f"{FOUND} {self.root}"
        problems = []
        if needed > self._bytes:
            problems, wanted = [f"more than {self.budget_key}={self.budget}"], ()
        for place in wanted:
            free, problem = self._free(place)
            if problem is None and needed <= free * SHARE[place]:
                return place, f"of {in_bytes(free)} free"
            problems.append(problem or f"too much for {in_bytes(free)} of free {place}")
        return None, f"{in_bytes(needed)}, {' and '.join(problems)}"

    def make(self, entries: Sequence[Entry], say: Callable[[str], None]) -> None:
        """On each machine: what all runs have left on disk stays, with these, within the budget."""
        if dist.local_rank() > 0:
            return
        needed = sum(entry.size for entry in entries if not entry.is_in(self.root))
        keys = [entry.key for entry in entries]
        count, size = store.make_room(self.root, needed, self._bytes, keys) if needed else (0, 0)
        if count:
            limit = f"{self.budget_key}={self.budget}"
            say(f"  deleted {count} entries that were not used for longest, {in_bytes(size)}: {limit}")

    @property
    def _bytes(self) -> int:
        size = bytes_of(self.budget)
        assert size is not None, "checked with the configuration"
        return size

    def _free(self, place: str) -> tuple[int, str | None]:
        """Bytes that are free, and what else is in the way."""
        if place == RAM:
            return self.free_memory(dist.local_world_size() > 1), None
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root):
                return self.free_disk(self.root), None
        except OSError as error:
            return 0, f"{self.root} cannot be written ({error.strerror}): choose {self.folder_key}"
