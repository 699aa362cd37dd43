from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pytest

from cnntrain.data.batches.feed import Batch
from cnntrain.training import progress as module
from cnntrain.training.progress import Progress, Rate


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(module, "time", found)
    return found


class Feed:
    """Two batches, for each of which one waits a second."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.waited = 50.0  # in an earlier epoch

    def batches(self, plan: Any) -> Iterator[Batch]:
        for count in plan:
            self.clock.now += 1
            self.waited += 1
            yield Batch(None, None, count)


def test_time_and_images_are_counted_as_each_step_ends(clock: Clock) -> None:
    found = Progress(seconds=100.0, data_wait=10.0, images=7)
    counted = []
    for batch in found.timed(Feed(clock), [4, 3], 2):  # type: ignore[arg-type]
        counted.append((found.seconds, found.data_wait, found.images))
        clock.now += 10 * batch.count
    assert counted == [(100.0, 10.0, 7), (141.0, 11.0, 15)]
    assert (found.seconds, found.data_wait, found.images) == (172.0, 12.0, 21)
    with found.counted():
        clock.now += 3
    assert found.seconds == 175.0


def test_a_rate_is_of_what_came_since_it_was_made() -> None:
    found = Progress(seconds=10.0, images=1000)
    rate = Rate(found)
    assert rate() == 0.0
    found.seconds, found.images = 14.0, 1200
    assert rate() == 50.0


def test_an_epoch_ends_the_best_or_one_more_since_it() -> None:
    found = Progress(epoch=3, step_in_epoch=5, step=20, sums=[1.0])
    found.end_epoch({"val/top1": 0.5}, improved=True)
    assert (found.epoch, found.step_in_epoch, found.step, found.sums) == (4, 0, 20, None)
    assert found.best == {"epoch": 4, "step": 20, "val/top1": 0.5} and found.epochs_since_best == 0
    for since in (1, 2):
        assert not found.is_stale(since)
        found.end_epoch({"val/top1": 0.1}, improved=False)
        assert found.epochs_since_best == since and found.best["epoch"] == 4
        assert found.is_stale(since) is True and found.is_stale(since + 1) is False and found.is_stale(None) is False
    found.end_epoch({"val/top1": 0.6}, improved=True)
    assert found.epochs_since_best == 0


def test_it_comes_back_from_a_checkpoint_and_what_is_none_is_refused() -> None:
    found = Progress(epoch=3, step_in_epoch=5, step=20, sums=[1.0], best={"top1": 0.5}, phase=2, hash_start="ab")
    assert Progress.of(asdict(found)) == found
    with pytest.raises(ValueError, match="epoch"):
        Progress.of({**asdict(found), "epoch": "three"})
