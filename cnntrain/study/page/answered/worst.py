"""Which images of answers with places are shown: by a rule, never by luck."""

from __future__ import annotations

from itertools import chain, zip_longest

import numpy as np

WORST, TYPICAL = 12, 6


def chosen(badness: np.ndarray, losses: np.ndarray) -> tuple[list[int], list[int]]:
    """Positions of the worst images, the worst first, and of typical ones: those in the middle of the same order.

    Args:
        badness: of each image [n], nan of one that cannot be judged; those that are as bad come by loss, then by
            position.
        losses: [n].
    """
    losses = np.where(np.isfinite(losses), losses, np.inf)
    order = np.lexsort([np.arange(len(badness)), -losses, -badness])
    order = order[np.isfinite(badness[order])]
    start = max((len(order) - TYPICAL) // 2, WORST)
    return order[:WORST].tolist(), order[start : start + TYPICAL].tolist()


def in_turn(worst: list[int], typical: list[int]) -> list[int]:
    """One of each by turns, so that no room is left for the one kind alone."""
    both = chain.from_iterable(zip_longest(worst, typical))
    return [each for each in both if each is not None]
