from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from cnntrain.core import dist
from cnntrain.core.store import Entry
from cnntrain.data.batches.filling import Filler
from cnntrain.data.batches.plan import Plan

ENTRY = Entry("ab" * 32, [(5, 3)], [torch.float32], {})


def nothing(plan: Plan) -> Iterator[tuple[Tensor, ...]]:
    return iter(())


def filler() -> Filler:
    return Filler(5, 2, nothing, "the activations", "choose another folder", print, lambda: None)


def test_machines_of_unequally_many_processes_take_the_same_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is alone on its machine takes part in what the others agree on."""
    monkeypatch.setattr(dist, "largest", lambda number: 2 * number)
    with filler()._space(ENTRY, None) as (values, folder):
        assert folder is not None and [each.shape for each in values] == [(5, 3)]
    monkeypatch.undo()
    with filler()._space(ENTRY, None) as (values, folder):
        assert folder is None
