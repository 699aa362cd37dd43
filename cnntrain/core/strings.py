"""Many strings as one array: forked processes that read them share its memory, where objects that are counted would be
copied page by page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import overload

import numpy as np

HOW = ("utf-8", "surrogatepass")  # names of files may hold bytes that are no text, which Python has as surrogates


class Strings(Sequence[str]):
    """A row of strings, read-only; equal to any sequence of the same ones.

    Args:
        content: all of them, encoded, one after the other or in any order.
        starts, sizes: int64 and int32 [strings], in bytes, where each lies in the content.
    """

    def __init__(self, content: bytes, starts: np.ndarray, sizes: np.ndarray):
        self._content = content
        self._starts = starts
        self._sizes = sizes

    @classmethod
    def of(cls, strings: Iterable[str]) -> Strings:
        """Those of an iterable, of which none is held."""
        if isinstance(strings, cls):
            return strings
        content = bytearray()
        sizes = np.fromiter(_appended(content, strings), np.int32)
        return cls(bytes(content), sizes.cumsum(dtype=np.int64) - sizes, sizes)

    def take(self, index: np.ndarray) -> Strings:
        """Those at positions, int64 [strings]; the content is shared."""
        return Strings(self._content, self._starts[index], self._sizes[index])

    def __len__(self) -> int:
        return len(self._starts)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Strings: ...

    def __getitem__(self, index: int | slice) -> str | Strings:
        if isinstance(index, slice):
            return Strings(self._content, self._starts[index], self._sizes[index])
        start = int(self._starts[index])
        return self._content[start : start + int(self._sizes[index])].decode(*HOW)

    def __iter__(self) -> Iterator[str]:
        for start, size in zip(self._starts, self._sizes, strict=True):
            yield self._content[start : start + size].decode(*HOW)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(mine == their for mine, their in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # as of a list

    def __repr__(self) -> str:
        return f"Strings({list(self[:3])}{f' and {len(self) - 3:,} more' if len(self) > 3 else ''})"


def _appended(content: bytearray, strings: Iterable[str]) -> Iterator[int]:
    """The size of each, once it stands at the end of the content."""
    for each in strings:
        encoded = each.encode(*HOW)
        content += encoded
        yield len(encoded)
