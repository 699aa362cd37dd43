from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from cnntrain.core import dist
from cnntrain.training import poll
from cnntrain.training.poll import Poll


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def asked(steps: list[float], monkeypatch: pytest.MonkeyPatch, ranks: int = 2) -> list[float]:
    """When the ranks ask each other, where the steps take so long."""
    monkeypatch.setattr(dist, "world_size", lambda: ranks)
    monkeypatch.setattr(dist, "largest", lambda number: number)
    clock = Clock()
    ask, times = Poll(torch.device("cpu"), clock), []
    for seconds in steps:
        clock.now += seconds
        if ask():
            times.append(clock.now)
    return times


def test_short_steps_are_asked_about_twice_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    times = asked([0.02] * 1000, monkeypatch)
    gaps = [later - sooner for sooner, later in pairwise(times[8:])]
    assert max(gaps) <= poll.SECONDS + 1e-6 and min(gaps) > poll.SECONDS / 2


def test_every_step_that_takes_longer_is_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(asked([0.6] * 10, monkeypatch)) == 10


def test_steps_that_become_slower_are_soon_asked_about_as_often(monkeypatch: pytest.MonkeyPatch) -> None:
    times = asked([0.0001] * 5000 + [0.4] * 300, monkeypatch)
    late = [each for each in times if each > 0.5]
    assert late[0] <= 0.5 + 0.4 * poll.MOST and late[-1] - late[-2] == pytest.approx(0.4)


def test_one_process_on_a_cpu_has_nobody_to_wait_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(asked([0.0001] * 50, monkeypatch, ranks=1)) == 50
