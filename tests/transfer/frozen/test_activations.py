from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from cnntrain.data.batches.feed import Batch
from cnntrain.data.batches.plan import WHOLE, Share, eval_plan
from cnntrain.data.batches.samples import Samples
from cnntrain.data.sets.dataset import Part
from cnntrain.transfer.frozen import activations
from cnntrain.transfer.frozen.activations import Computed, Held, Kept, Prefix

CPU = torch.device("cpu")
LABELS = torch.tensor([5, 6, 7, 8, 9])


class Clock:
    """A second goes by whenever it is asked."""

    now = 0.0

    def perf_counter(self) -> float:
        self.now += 1
        return self.now


def kept(views: int = 2) -> Kept:
    """Two values of five images: the row's number, and minus it in half precision."""
    rows = torch.arange(5.0 * views)
    part = Part(torch.zeros(5, 3, 1, 1, dtype=torch.uint8), LABELS.numpy(), [*"abcde"])
    loader: Any = SimpleNamespace(device=CPU, samples=Samples(part, lambda image, target: (image, target), None))
    held = Held([rows.view(-1, 1), -rows.half().view(-1, 1)], views, "ram")
    return Kept(held, loader, [torch.float32, torch.float64])


@pytest.mark.parametrize(("epoch", "first"), [(0, 0), (1, 5), (2, 0), (3, 5)])
def test_an_epoch_has_the_view_of_its_turn(epoch: int, first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activations, "time", Clock())
    source = kept()
    batches = list(source.batches(eval_plan(5, 3, WHOLE, epoch)))
    assert [batch.count for batch in batches] == [3, 2]
    for number in range(2):
        values = torch.cat([batch.inputs[number] for batch in batches]).flatten()
        assert values.dtype == (torch.float32, torch.float64)[number]
        assert values.tolist() == [(1 - 2 * number) * (first + each) for each in range(5)]
    assert torch.cat([batch.targets for batch in batches]).tolist() == LABELS.tolist()
    assert source.waited == 2.0  # a second for each batch


def test_a_rank_has_its_share_and_a_batch_of_nothing_where_that_has_run_out() -> None:
    first, second = kept().batches(eval_plan(3, 2, Share(1, 2, 1)))
    assert (first.inputs[0].flatten().tolist(), first.targets.tolist(), first.count) == ([1.0], [6], 1)
    assert second.count == 0 and len(second.inputs[0]) == 0


def test_values_are_computed_for_each_batch_without_a_gradient_and_in_the_precision() -> None:
    entered: list[str] = []

    @contextmanager
    def half() -> Iterator[None]:
        entered.append("in")
        yield
        entered.append("out")

    class Loader:
        waited = 3.0

        def batches(self, plan: Any) -> Iterator[Batch]:
            yield Batch(torch.ones(2, 1), torch.zeros(2), 2)
            yield Batch(None, None, 0)

    weight = torch.full((), 3.0, requires_grad=True)

    def graph(images: Tensor) -> tuple[Tensor, ...]:
        entered.append("computed")
        return (images * weight,)

    source = Computed(Loader(), Prefix(graph, half()))  # type: ignore[arg-type]
    first, nothing = source.batches(None)  # type: ignore[arg-type]
    assert entered == ["in", "computed", "out"]
    assert first.inputs[0].flatten().tolist() == [3.0, 3.0] and not first.inputs[0].requires_grad
    assert (first.count, len(first.targets)) == (2, 2) and (nothing.inputs, nothing.count) == (None, 0)
    assert source.waited == 3.0
