"""Rows of a file that is mapped into memory and larger than it: the kernel is told which are read next.

By itself it reads what lies around a page that is missing, and waits for one after the other: for a row of 147 kB
megabytes that nobody asked for.
"""

from __future__ import annotations

import ctypes
import mmap
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def read_apart(mapped: Tensor) -> None:
    """Of a whole mapping [rows, ...]: what lies around a page is not read with it."""
    _advise(mapped.data_ptr(), mapped.nbytes, mmap.MADV_RANDOM)


def announce(mapped: Tensor, rows: Tensor) -> None:
    """Let the kernel begin to read rows, int64 [n], of a contiguous mapping [rows, ...]; it does not wait for them."""
    size, start = mapped[0].nbytes, mapped.data_ptr()
    for row in rows.tolist():
        first = start + row * size
        page = first // mmap.PAGESIZE * mmap.PAGESIZE
        _advise(page, first + size - page, mmap.MADV_WILLNEED)


def _advise(address: int, size: int, advice: int) -> bool:
    """Whether the kernel takes it, which is for the kernel to say: nothing but speed depends on it."""
    found: int = _libc().madvise(ctypes.c_void_p(address), ctypes.c_size_t(size), ctypes.c_int(advice))
    return found == 0


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)
