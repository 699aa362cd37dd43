"""Heeding signals: all processes of a run stop at the same place."""

from __future__ import annotations

from cnntrain.core import dist, signals
from cnntrain.core.errors import StopError


def heed() -> None:
    """All ranks call this equally often.

    Raises:
        StopError: a signal came to any of them.
    """
    if dist.any_rank(signals.received() is not None):
        raise StopError


def heed_alone() -> None:
    """For what one rank does alone.

    Raises:
        StopError: a signal came to this process.
    """
    if signals.received() is not None:
        raise StopError
