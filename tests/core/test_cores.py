from __future__ import annotations

import os
from pathlib import Path

import pytest

from cnntrain.core import cores


@pytest.mark.parametrize(
    ("quota", "found"),
    [(None, 8), ("max 100000\n", 8), ("200000 100000\n", 2), ("50000 100000\n", 1), ("6400000 100000\n", 8)],
)
def test_cores_are_those_that_are_bound_within_the_containers_share(
    quota: str | None, found: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))
    monkeypatch.setattr(cores, "QUOTA", tmp_path / "cpu.max")
    if quota is not None:
        (tmp_path / "cpu.max").write_text(quota)
    assert cores.usable() == found
