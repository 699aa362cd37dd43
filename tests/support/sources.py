"""Pictures for a page, without a run's data and network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from cnntrain.core.errors import InputError
from cnntrain.data.sets.dataset import Images
from cnntrain.study.page.thumbnails import Masked, Overlay, Seen

T = TypeVar("T")


@dataclass
class Given:
    """What is given; the rest cannot be read."""

    of: Images | None = None
    looked: Overlay | None = None
    sees: Seen | None = None
    painted: Callable[[int], Masked] | None = None

    def images(self) -> Images:
        return _had(self.of)

    def overlay(self) -> Overlay:
        return _had(self.looked)

    def seen(self) -> Seen:
        return _had(self.sees)

    def masks(self) -> Callable[[int], Masked]:
        return _had(self.painted)


def _had(value: T | None) -> T:
    if value is None:
        raise InputError("it is gone")
    return value
