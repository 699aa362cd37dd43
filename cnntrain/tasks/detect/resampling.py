"""Intervals of a detector's figures by bootstrap over images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cnntrain.core import bootstrap
from cnntrain.tasks.base import Column
from cnntrain.tasks.detect.metrics import resampled


def intervals(table: np.ndarray, columns: Sequence[Column]) -> dict[str, list[float]]:
    """Low and high end of each column but the loss, where it is known.

    Args:
        table: see `rows`, of at least one image.
    """
    drawn = resampled(table, columns, bootstrap.times(len(table)))
    return {name: ends for name, values in drawn.items() if (ends := bootstrap.within(values)) is not None}
