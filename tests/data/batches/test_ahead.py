"""What is made ahead is the same, in a thread of one core, and what fails there fails where it is used."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from cnntrain.data.batches.ahead import ahead


def test_the_next_is_made_while_one_is_used() -> None:
    begun, waits = [threading.Event() for _ in range(4)], list[float]()

    def items() -> Iterator[tuple[int, int, str]]:
        for number, each in enumerate(begun):
            each.set()
            yield number, torch.get_num_threads(), threading.current_thread().name

    before, seen = torch.get_num_threads(), []
    for number, threads, name in ahead(items(), waits.append):
        if number + 1 < len(begun):
            assert begun[number + 1].wait(10)  # while this one is used
        assert number + 2 >= len(begun) or not begun[number + 2].is_set()  # and no more than one
        assert (threads, name) == (1, "ahead_0")
        seen.append(number)
    assert seen == [0, 1, 2, 3] and len(waits) == 5 and torch.get_num_threads() == before
    with ThreadPoolExecutor(1) as later:
        assert later.submit(torch.get_num_threads).result() == before


def test_what_fails_fails_here_and_an_end_before_the_end_leaves_no_thread() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("gone")

    source = ahead(items(), lambda seconds: None)
    assert next(source) == 1
    with pytest.raises(OSError, match="gone"):
        next(source)
    begun = ahead(iter([1, 2, 3]), lambda seconds: None)
    assert next(begun) == 1
    begun.close()
    assert not any(each.name.startswith("ahead") for each in threading.enumerate())
