"""How far a run has come."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Progress:
    """How far a run has come; plain values, kept in its checkpoints.

    `sums` are those of the epoch under way, so that its metrics survive an interruption.
    """

    epoch: int = 0
    step_in_epoch: int = 0
    step: int = 0
    sums: list[float] | None = None
    best: dict[str, float] | None = None
    epochs_since_best: int = 0
    seconds: float = 0.0
    data_wait: float = 0.0
    images: int = 0
    phase: int = 0  # the epoch in which what is frozen now was frozen
    hash_start: str = ""  # of it
    kept: dict[str, str] | None = None  # where activations are kept, and of which cut
