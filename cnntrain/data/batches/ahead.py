"""What an iterator gives next is made while what it gave is used."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Item = TypeVar("Item")


def ahead(items: Iterator[Item], note_wait: Callable[[float], None]) -> Iterator[Item]:
    """The same items, each made by a thread that computes on one core; what making one raises is raised here.

    Args:
        items: none of them None.
        note_wait: is told the seconds that each was waited for.
    """
    with ThreadPoolExecutor(1, "ahead", torch.set_num_threads, (1,)) as maker:
        threads, coming = torch.get_num_threads(), maker.submit(next, items, None)
        while True:
            start = time.perf_counter()
            item = coming.result()
            note_wait(time.perf_counter() - start)
            if threads:
                torch.set_num_threads(threads)  # again, for threads that begin after that one
                threads = 0
            if item is None:
                return
            coming = maker.submit(next, items, None)
            yield item
