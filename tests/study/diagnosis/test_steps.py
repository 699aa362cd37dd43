"""What is concluded from trials at several rates, and from the steps of an epoch."""

from __future__ import annotations

from math import inf
from types import SimpleNamespace
from typing import Any

import pytest
from torch import nn

from cnntrain.study.diagnosis import steps
from cnntrain.study.diagnosis.subject import OK, SUSPICIOUS, WRONG, Scan


def scanned(own: float, reached: dict[float, float], warmup: float = 0.0) -> Any:
    best = min(reached, key=lambda rate: reached[rate])
    config = SimpleNamespace(optim=SimpleNamespace(lr=own), schedule=SimpleNamespace(warmup_epochs=warmup))
    return SimpleNamespace(config=config, scan=Scan(2.3, reached, best, nn.Identity(), 20))


@pytest.mark.parametrize(
    ("own", "reached", "warmup", "status", "advice"),
    [
        (0.1, {0.001: 2.29, 0.01: 2.1, 0.1: 1.2, 1.0: 2.4, 10.0: inf}, 0, OK, ""),
        (0.1, {0.001: 2.2, 0.01: 1.2, 0.1: inf, 1.0: inf, 10.0: inf}, 0, WRONG, "optim.lr=0.01"),
        (0.1, {0.001: 2.2, 0.01: 1.2, 0.1: inf, 1.0: inf, 10.0: inf}, 5, SUSPICIOUS, "optim.lr=0.01"),
        (0.1, {0.001: 2.2, 0.01: 1.2, 0.1: 2.2, 1.0: inf, 10.0: inf}, 0, SUSPICIOUS, "optim.lr=0.01"),
        (0.01, {0.0001: 2.3, 0.001: 2.29, 0.01: 2.1, 0.1: 1.0, 1.0: 2.4}, 0, OK, ""),  # ten times is no fault
        (0.001, {0.00001: 2.3, 0.0001: 2.3, 0.001: 2.25, 0.01: 2.1, 0.1: 1.0}, 0, SUSPICIOUS, "optim.lr=0.1"),
        (1e-9, {1e-11: 2.3, 1e-9: 2.3, 1e-7: 2.3, 0.01: 1.6, 0.1: 1.0, 1.0: 9.0}, 0, WRONG, "optim.lr=0.01"),
        (0.1, {0.001: 2.3, 0.01: 2.3, 0.1: 2.3, 1.0: 2.3, 10.0: inf}, 0, SUSPICIOUS, "another of these findings"),
    ],
)
def test_a_rate_is_judged_by_those_around_it(
    own: float, reached: dict[float, float], warmup: float, status: str, advice: str
) -> None:
    found = steps.rate(scanned(own, reached, warmup))
    assert found.status == status and advice in found.advice and bool(found.advice) == bool(advice)


@pytest.mark.parametrize(
    ("batch", "count", "per_epoch", "total", "status"),
    [
        (64, 1437, 23, 920, OK), (2000, 1437, 1, 40, WRONG), (1437, 1437, 1, 40, WRONG),
        (500, 1437, 3, 120, SUSPICIOUS),
        (64, 1437, 23, 23, SUSPICIOUS), (1, 100, 100, 900, SUSPICIOUS),
    ],
)  # fmt: skip
def test_a_batch_is_judged_by_the_steps_that_it_leaves(
    batch: int, count: int, per_epoch: int, total: int, status: str
) -> None:
    data = SimpleNamespace(batch_size=batch)
    subject: Any = SimpleNamespace(
        config=SimpleNamespace(data=data), count=count, steps_per_epoch=per_epoch, total_steps=total,
        initial=nn.Sequential(nn.BatchNorm2d(3)),
    )  # fmt: skip
    assert steps.batch_size(subject).status == status
