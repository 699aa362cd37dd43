"""How many cores this process may use: those it is bound to, within its container's share."""

from __future__ import annotations

import os
from pathlib import Path

QUOTA = Path("/sys/fs/cgroup/cpu.max")


def usable() -> int:
    """At least one; a container that may use two of a machine's 64 has two."""
    bound = len(os.sched_getaffinity(0))
    quota, _, period = QUOTA.read_text().partition(" ") if QUOTA.is_file() else ("max", "", "")
    return bound if quota == "max" else max(1, min(bound, int(quota) // int(period)))
