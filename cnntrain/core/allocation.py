"""Memory that is freed stays with the process, for the next step.

By itself glibc asks the kernel for each block above 32 MiB anew, and returns it when it is freed. The activations of a
step on a CPU are such blocks, so that in each step the kernel would clear all their pages again.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4  # malloc.h
NEVER = -1
LARGEST = 1 << 30  # bytes of a block that is kept: an activation, not a data set
REACHED = {MMAP_MAX: 65536, MMAP_THRESHOLD: 32 << 20, TRIM_THRESHOLD: 64 << 20}  # what glibc comes to by itself
OWN, TUNED = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_MAX_"), "glibc.malloc"
Set = Callable[[int, int], int]


@contextmanager
def kept(environment: Mapping[str, str] = os.environ, mallopt: Set | None = None) -> Iterator[None]:
    """Within the block; after it what was kept is given back. The user's own settings of malloc stay, and so does
    another allocator.

    Args:
        mallopt: the C library's; None: that of this process, where it is glibc's.
    """
    mallopt = mallopt or _mallopt()
    if mallopt is None or any(each in environment for each in OWN) or TUNED in environment.get("GLIBC_TUNABLES", ""):
        yield
        return
    mallopt(TRIM_THRESHOLD, NEVER)
    if not mallopt(MMAP_THRESHOLD, LARGEST):  # some versions of glibc refuse so much
        mallopt(MMAP_MAX, 0)
    try:
        yield
    finally:
        for name, value in REACHED.items():
            mallopt(name, value)
        ctypes.CDLL(None).malloc_trim(0)


def _mallopt() -> Set | None:
    if sys.platform != "linux":
        return None
    found: Set | None = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    return found
