"""Which images are shown."""

from __future__ import annotations

import numpy as np

from cnntrain.study.page.answered.worst import TYPICAL, WORST, chosen, in_turn


def test_the_worst_by_rank_then_by_loss_and_those_in_the_middle() -> None:
    badness = np.arange(101.0)
    badness[7], badness[100] = np.nan, 99
    losses = np.zeros(101)
    losses[100] = 1
    worst, typical = chosen(badness, losses)
    assert worst == [100, *range(99, 99 - WORST + 1, -1)]
    assert typical == [53, 52, 51, 50, 49, 48] and len(typical) == TYPICAL
    assert 7 not in chosen(badness[:9], losses[:9])[0]


def test_of_few_images_none_is_shown_twice() -> None:
    for count in range(30):
        worst, typical = chosen(np.zeros(count), np.full(count, np.nan))
        assert worst == [*range(min(count, WORST))] and not {*worst} & {*typical}
        assert sorted(in_turn(worst, typical)) == sorted([*worst, *typical])
    assert in_turn([1, 2, 3], [4]) == [1, 4, 2, 3]
