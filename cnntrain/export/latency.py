"""How long a network takes to answer, in several forms of it, measured in turns so that all meet the same machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import torch

from cnntrain.data.batches.preprocess import Preprocess
from cnntrain.export.variants import Variant
from cnntrain.training.precision import threads_kept

TURN = 0.1  # seconds of calls of one variant, before it is the next one's turn; at least one call
SETTLED = 0.01  # seconds of calls before, that are not counted: for less the threads of the one before wait busily
Clock = Callable[[], float]  # seconds


@dataclass(frozen=True)
class Latency:
    """Of one variant with so many threads and images.

    Attributes:
        ms: of a batch, the median over the rounds of their medians.
        fastest_ms: of all calls.
        images_per_second: by `ms`.
        ratio: how many times as fast as the first variant it is, the median of the rounds' own.
    """

    variant: str
    threads: int
    batch_size: int
    ms: float
    fastest_ms: float
    images_per_second: float
    ratio: float


@torch.inference_mode()
def measure(
    variants: Sequence[Variant],
    seen: Preprocess,
    batch_sizes: Sequence[int],
    threads: Sequence[int],
    rounds: int,
    clock: Clock = time.perf_counter,
) -> list[Latency]:
    """Time the network alone, on images that are ready in memory: normally distributed numbers.

    Args:
        rounds: in each of which every variant has its turn, after one that warms up.
    """
    found: list[Latency] = []
    with threads_kept():
        for number in threads:
            torch.set_num_threads(number)
            networks = [each.opened() for each in variants]
            for size in batch_sizes:
                shape = (size, *seen.shape)
                images = torch.randn(shape, generator=torch.Generator().manual_seed(0))
                works = [
                    partial(network, images.contiguous(memory_format=each.memory_format))
                    for each, network in zip(variants, networks, strict=True)
                ]
                times = _in_turns(works, rounds, clock)
                for each, own in zip(variants, times, strict=True):
                    found.append(_latency(each.name, number, size, own, times[0]))
    return found


def _in_turns(works: Sequence[Callable[[], Any]], rounds: int, clock: Clock) -> list[list[list[float]]]:
    """Of each work in each round the seconds of its calls."""
    times: list[list[list[float]]] = [[] for _ in works]
    for number in range(rounds + 1):
        for work, own in zip(works, times, strict=True):
            _calls(work, SETTLED, clock)
            calls = _calls(work, TURN, clock)
            if number:
                own.append(calls)
    return times


def _calls(work: Callable[[], Any], seconds: float, clock: Clock) -> list[float]:
    """The seconds of each call, one after the other until so many are over."""
    found, end = list[float](), clock() + seconds
    while not found or clock() < end:
        found.append(_seconds(work, clock))
    return found


def _seconds(work: Callable[[], Any], clock: Clock) -> float:
    start = clock()
    work()
    return clock() - start


def _latency(name: str, threads: int, size: int, own: list[list[float]], first: list[list[float]]) -> Latency:
    seconds, others = ([median(calls) for calls in rounds] for rounds in (own, first))
    middle = median(seconds)
    return Latency(
        variant=name,
        threads=threads,
        batch_size=size,
        ms=1000 * middle,
        fastest_ms=1000 * min(map(min, own)),
        images_per_second=size / middle,
        ratio=median(other / mine for other, mine in zip(others, seconds, strict=True)),
    )
