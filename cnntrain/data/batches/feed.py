"""Where batches come from, as far as the loop can tell."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from cnntrain.data.batches.plan import Plan
from cnntrain.data.batches.samples import Batch

if TYPE_CHECKING:
    pass


class Feed(Protocol):
    """Where a part's batches come from; a `Loader` is one."""

    @property
    def waited(self) -> float:
        """Seconds that the consumer has waited for data."""
        ...

    def batches(self, plan: Plan) -> Iterator[Batch]: ...
