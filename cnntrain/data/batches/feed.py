"""Where batches come from, as far as the loop can tell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from cnntrain.data.batches.plan import Plan


@dataclass(frozen=True, slots=True)
class Batch:
    """What a network is given at once, on its device.

    Attributes:
        inputs: images, or what stands for them.
        targets: what the task compares the outputs with.
        count: samples; a batch of none has neither inputs nor targets.
    """

    inputs: Any
    targets: Any
    count: int


class Feed(Protocol):
    """Where a part's batches come from: worker processes, or activations that are kept."""

    @property
    def waited(self) -> float:
        """Seconds that the consumer has waited for data."""
        ...

    def batches(self, plan: Plan) -> Iterator[Batch]: ...
