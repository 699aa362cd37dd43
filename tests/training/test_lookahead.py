"""Slow weights against the algorithm written out, and against timm's where both do the same."""

from __future__ import annotations

import pytest
import torch
from timm.optim import Lookahead as Timms
from torch import nn

from cnntrain.config import schema
from cnntrain.schedule.base import Position
from cnntrain.training.lookahead import Lookahead

GRADIENTS = [3.0, -1.0, 2.0, 5.0, -4.0, 1.0, 2.0, -3.0]


def one() -> nn.Linear:
    model = nn.Linear(1, 1, bias=False).double()
    nn.init.ones_(model.weight)
    return model


def trained(model: nn.Module, lookahead: Lookahead, start: int = 0) -> list[float]:
    """The weight after each step of a run of eight, two epochs, at a rate of 0.1."""
    found = []
    for step, gradient in enumerate(GRADIENTS[start:], start=start):
        with torch.no_grad():
            model.weight.sub_(0.1 * gradient)
        done = Position(step + 1, 4, 8)
        lookahead.step_done(done, step // 4, ends=step % 4 == 3)
        found.append(model.weight.item())
    return found


def test_of_a_share_that_stays_it_is_timms() -> None:
    """Whose first slow weights are those after the first step, too."""
    ours, theirs = one(), one()
    lookahead = Lookahead(ours, schema.Lookahead(every=1, start_epoch=0, decay=0.3, power=0.0))
    optimizer = Timms(torch.optim.SGD(theirs.parameters(), lr=0.1), alpha=0.7, k=1)
    expected = []
    for gradient in GRADIENTS:
        theirs.weight.grad = torch.full_like(theirs.weight, gradient)
        optimizer.step()
        expected.append(theirs.weight.item())
    assert trained(ours, lookahead) == pytest.approx(expected)


def test_it_follows_less_and_less_and_an_epoch_ends_with_the_slow_weights() -> None:
    model = one()
    lookahead = Lookahead(model, schema.Lookahead(every=3, start_epoch=0, decay=0.9, power=2.0))
    found, fast, slow = trained(model, lookahead), 1.0, None
    for step, gradient in enumerate(GRADIENTS, start=1):
        fast -= 0.1 * gradient
        if step % 3 == 0 and slow is None:
            slow = fast
        elif step % 3 == 0:
            share = 0.9**3 * (step / 8) ** 2
            slow = fast = share * slow + (1 - share) * fast
        elif step in (4, 8):
            fast = slow
        assert found[step - 1] == pytest.approx(fast), step


def test_it_begins_in_its_epoch() -> None:
    model, plain = one(), [1 - 0.1 * sum(GRADIENTS[: step + 1]) for step in range(8)]
    lookahead = Lookahead(model, schema.Lookahead(every=2, start_epoch=1, decay=0.9, power=0.0))
    found = trained(model, lookahead)
    assert found[:7] == pytest.approx(plain[:7]) and found[7] != pytest.approx(plain[7])


def test_statistics_follow_too_and_counts_stay() -> None:
    model = nn.BatchNorm2d(2)
    lookahead = Lookahead(model, schema.Lookahead(every=1, start_epoch=0, decay=0.5, power=0.0))
    lookahead.step_done(Position(1, 9, 9), 0, ends=False)
    model(torch.full((2, 2, 3, 3), 10.0))
    assert model.running_mean is not None and model.num_batches_tracked is not None
    lookahead.step_done(Position(2, 9, 9), 0, ends=False)
    assert model.running_mean.tolist() == pytest.approx([0.5, 0.5]) and model.num_batches_tracked.item() == 1


def test_a_state_is_of_its_model_and_what_is_taken_stays() -> None:
    model = one()
    lookahead = Lookahead(model, schema.Lookahead(every=1, start_epoch=0, decay=0.5, power=0.0))
    assert lookahead.state_dict() is None
    lookahead.load_state_dict({"weight": torch.full((1, 1), 3.0)})
    lookahead.take(["another"])
    assert lookahead.state_dict() == {"weight": 3.0}
    lookahead.take(["weight"])
    lookahead.step_done(Position(1, 9, 9), 0, ends=False)
    assert model.weight.item() == 1
    for wrong in ({"weight": torch.ones(2)}, {"other": torch.ones(1, 1)}):
        with pytest.raises(ValueError, match="slow weights are those of another model"):
            lookahead.load_state_dict(wrong)
    lookahead.load_state_dict(None)
    assert lookahead.slow is None
