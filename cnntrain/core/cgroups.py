"""What the memory cgroups of this process leave it (Linux, admin-guide/cgroup-v1/memory and cgroup-v2)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

MOUNT, OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", ("total_inactive_file", "total_active_file"))
V2 = ("memory.max", "memory.current", ("inactive_file", "active_file"))


def free_memory() -> int | None:
    """Bytes that can be had within all limits; copies of files on disk count as free. None: there is no limit."""
    return min((_left(*each) for each in _limited()), default=None)


def _limited() -> Iterator[tuple[Path, str, str, tuple[str, str]]]:
    """Each group with a limit: its own and those above, as far as a container shows them."""
    lines = OWN.read_text().splitlines() if OWN.is_file() else []
    for _, controllers, path in (each.split(":", 2) for each in lines):
        if controllers and "memory" not in controllers.split(","):
            continue
        mount, (limit, used, cached) = (MOUNT / "memory", V1) if controllers else (MOUNT, V2)
        group = mount / path.lstrip("/")
        for folder in {group, *group.parents} - {*mount.parents}:
            if (folder / limit).is_file() and (folder / limit).read_text().strip() != "max":
                yield folder, limit, used, cached


def _left(folder: Path, limit: str, used: str, cached: tuple[str, str]) -> int:
    values = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    taken = int((folder / used).read_text()) - sum(int(values[key]) for key in cached)
    return max(0, int((folder / limit).read_text()) - taken)
