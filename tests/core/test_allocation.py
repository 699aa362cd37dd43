from __future__ import annotations

import ctypes
import resource
import sys
from pathlib import Path

import pytest
import torch

from cnntrain.core import allocation
from cnntrain.core.allocation import LARGEST, MMAP_MAX, MMAP_THRESHOLD, NEVER, TRIM_THRESHOLD, kept

BLOCK = 40 << 20  # bytes, above what glibc keeps by itself


def faults() -> int:
    """Pages that the kernel has to bring for a block that is filled, when some were freed before."""
    for _ in range(8):  # that are aligned in different ways
        torch.ones(BLOCK, dtype=torch.uint8)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(BLOCK, dtype=torch.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def resident() -> int:
    """Bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.skipif(sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallopt"), reason="glibc's")
def test_freed_blocks_are_used_again_and_given_back_at_the_end() -> None:
    with kept({}):
        assert faults() < BLOCK / resource.getpagesize() / 100
        held = resident()
    assert resident() < held - BLOCK / 2


@pytest.mark.parametrize(
    "environment", [{"MALLOC_TRIM_THRESHOLD_": "1"}, {"GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=1"}]
)
def test_a_users_own_settings_stay(environment: dict[str, str]) -> None:
    def refuse(name: int, value: int) -> int:
        raise AssertionError((name, value))

    with kept(environment, refuse):
        pass


def test_an_older_glibc_that_takes_no_large_threshold_maps_no_block() -> None:
    told = dict[int, int]()

    def older(name: int, value: int) -> int:
        told[name] = value
        return int(name != MMAP_THRESHOLD or value <= 32 << 20)

    with kept({}, older):
        assert told == {TRIM_THRESHOLD: NEVER, MMAP_THRESHOLD: LARGEST, MMAP_MAX: 0}
    assert told == allocation.REACHED
