"""What the checkpoint of a run holds, for tests that need no run."""

from __future__ import annotations

from typing import Any


def content(**parts: Any) -> dict[str, Any]:
    """The least that is one, with these parts."""
    empty = ("preprocess", "places", "model", "optimizer", "schedule", "transfer", "scaler")
    return {
        **{name: {} for name in empty},
        **{name: [] for name in ("imports", "classes", "frozen")},
        "config": {"data": {}, "trainer": {}},
        "fingerprint": "",
        "small_stem": False,
        "batch_size": 1,
        "steps_per_epoch": 1,
        "progress": {"epoch": 0, "step": 0, "best": None},
        "ema": None,
        **parts,
    }
