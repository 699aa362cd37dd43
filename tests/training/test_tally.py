"""What is known of an epoch under way."""

from __future__ import annotations

import pytest
import torch

from cnntrain.core.errors import RunError
from cnntrain.runs.report import Moment
from cnntrain.tasks.classify.objective import Classification
from cnntrain.training.progress import Progress
from cnntrain.training.tally import MOST, Tally

CPU = torch.device("cpu")
NOW = Moment(2, 5, 9, 10, 0.5, 0.0)


def tally(progress: Progress) -> Tally:
    return Tally(Classification(), CPU, progress, lambda step: [f"{step}-{number}" for number in range(10)])


def add(found: Tally, loss: float | list[float], step: int) -> None:
    found._progress.step_in_epoch = step
    found.add(torch.tensor(loss), torch.eye(3), torch.arange(3))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("after", [0, 3, MOST + 1])
def test_the_first_step_whose_loss_is_no_number_is_named_however_late_one_asks(bad: float, after: int) -> None:
    found = tally(Progress())
    for step in range(4):
        add(found, 0.5, step)
    found.require_sound(NOW)
    assert found.sums(NOW) == pytest.approx([12, 6, 12, 12])
    add(found, 0.5, 4)  # two micro-batches a step
    add(found, bad, 4)
    for step in range(after):
        add(found, bad if step % 2 else 0.5, 5 + step)
    with pytest.raises(
        RunError, match=r"nan or infinite in step 5 of epoch 3: lower optim\.lr, which was 0\.5"
    ) as error:
        found.require_sound(NOW)
    assert str(error.value).endswith("4-0, 4-1, 4-2, 4-3, 4-4, 4-5, 4-6, 4-7 and 2 more")
    with pytest.raises(RunError):  # it stays so
        found.sums(NOW)


def test_of_settings_side_by_side_one_that_is_a_number_is_enough() -> None:
    found = tally(Progress())
    found.add(torch.tensor([float("nan"), 1.0]), torch.eye(3).expand(2, 3, 3), torch.arange(3))
    found.require_sound(NOW)
    found.add(torch.full((2,), float("inf")), torch.eye(3).expand(2, 3, 3), torch.arange(3))
    with pytest.raises(RunError, match="step 1 of"):
        found.require_sound(NOW)


def test_sums_go_on_from_those_of_an_interruption() -> None:
    first = tally(Progress())
    add(first, 0.5, 0)
    again = tally(Progress(step_in_epoch=1, sums=first.sums(NOW)))
    add(again, 1.5, 1)
    assert again.sums(NOW) == pytest.approx([6, 6, 6, 6])
    assert again.sums(Moment(2, 5, 0, 10, 0.5, 0.0)) is None
