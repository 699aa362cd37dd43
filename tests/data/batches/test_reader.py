from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from cnntrain.core import signals
from cnntrain.data.batches import reader
from cnntrain.data.batches.plan import WHOLE, eval_plan
from cnntrain.data.batches.reader import Reader
from cnntrain.data.batches.samples import Samples
from cnntrain.data.sets.dataset import Part

CPU = torch.device("cpu")


def samples() -> Samples:
    images = torch.arange(5, dtype=torch.uint8).view(5, 1, 1, 1)
    return Samples(Part(images, np.arange(5), [*"abcde"]), lambda image, target: (image, target), None)


def in_a_thread(make: Any) -> Any:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(make()))
    thread.start()
    thread.join()
    return found[0]


def test_workers_go_with_the_process_that_forked_them_and_not_with_a_thread_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert reader._in_main_thread() is True and in_a_thread(reader._in_main_thread) is False
    gone_with: list[int] = []
    for each in ("die_with", "heed_alone"):
        monkeypatch.setattr(signals, each, gone_with.append)
    Reader(samples(), 0, CPU)._loader.worker_init_fn(3)
    assert gone_with == [reader.os.getpid()] * 2
    assert in_a_thread(lambda: Reader(samples(), 0, CPU)._loader.worker_init_fn) is None


def test_workers_outlive_a_signal_to_the_whole_group() -> None:
    """As ``timeout``, torchrun or a service manager sends it, to parent and workers alike."""
    source = Reader(samples(), 2, CPU)
    arriving = source.batches(eval_plan(5, 1, WHOLE))
    next(arriving)
    workers = source._loader._iterator._workers  # type: ignore[union-attr]
    subprocess.run(["kill", "-TERM", *(str(each.pid) for each in workers)], check=True)
    assert sum(loaded is not None for loaded in arriving) == 4
    plan = eval_plan(5, 2, WHOLE)
    assert sum(loaded is not None for loaded in source.batches(plan)) == 3
    assert all(each.is_alive() for each in workers)


@pytest.mark.parametrize("workers", [0, 1])
def test_workers_stay_and_are_forked_where_there_are_any(workers: int) -> None:
    made = Reader(samples(), workers, CPU)
    assert made.workers == made._loader.num_workers == workers
    assert made._loader.persistent_workers == (workers > 0) and not made._loader.pin_memory
    assert (made._loader.multiprocessing_context is None) == (workers == 0)


def test_the_time_is_that_of_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock:
        now = 0.0

        def perf_counter(self) -> float:
            return self.now

    clock, source = Clock(), Reader(samples(), 0, CPU)
    monkeypatch.setattr(reader, "time", clock)

    def slow() -> Iterator[Any]:
        for _ in range(2):
            clock.now += 1
            yield None

    source._loader = slow()  # type: ignore[assignment]
    for _ in source.batches(eval_plan(5, 3, WHOLE)):
        clock.now += 10
    assert source.waited == 2.0


def test_a_plan_is_read_in_its_order_and_then_another() -> None:
    source = Reader(samples(), 0, CPU)
    assert len(source._planned) == 0
    for size in (3, 2):
        plan = eval_plan(5, size, WHOLE)
        found = [loaded for loaded in source.batches(plan) if loaded is not None]
        assert [targets.tolist() for _, targets in found] == [each.tolist() for each in plan]
        assert torch.cat([images for images, _ in found]).flatten().tolist() == [0, 1, 2, 3, 4]
        assert len(source._planned) == len(plan)
