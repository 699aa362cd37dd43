"""The controller's gradient against finite differences, and that it learns what pays."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import pytest
import torch

from cnntrain.config.nas import Decision
from cnntrain.search.nas.algorithms.reinforce import Reinforce
from cnntrain.search.nas.controller import Controller, Learner

SMALL = [
    Decision("height", 2, 0), Decision("filters", 3, 0), Decision("height", 2, 1), Decision("filters", 3, 1),
    Decision("skip", 2, 1, 0), Decision("height", 2, 2), Decision("skip", 2, 2, 0), Decision("skip", 2, 2, 1),
]  # fmt: skip
FEW = SMALL[:5]
STRINGS = list(product(*(range(each.options) for each in FEW)))


def controller(decisions: Sequence[Decision] = SMALL) -> Controller:
    """In double precision, with weights large enough that options are not all alike."""
    found = Controller(decisions, 5, 0).double()
    with torch.no_grad():
        for parameter in found.parameters():
            parameter.mul_(10)
    return found


def test_the_probabilities_of_all_strings_add_up_to_one() -> None:
    found = controller(FEW)
    with torch.no_grad():
        logs = torch.stack([found.log_probability(each)[0] for each in STRINGS])
    assert logs.exp().sum().item() == pytest.approx(1)
    assert logs.std() > 0.1


def test_the_gradient_is_that_of_finite_differences() -> None:
    found = controller()
    learner = Learner(found, 0.1, 0.5, 0.01)
    learner.baseline = 0.3
    strings, rewards = [(1, 2, 0, 1, 1, 0, 0, 1), (0, 0, 1, 2, 0, 1, 1, 0)], [0.9, 0.1]
    gradients = torch.autograd.grad(learner.loss(strings, rewards), list(found.parameters()))
    moved = 1e-6
    for parameter, gradient in zip(found.parameters(), gradients, strict=True):
        values, slopes = parameter.data.view(-1), gradient.reshape(-1)
        for place in {0, len(values) // 2, len(values) - 1}:
            before, losses = values[place].item(), []
            for step in (moved, -moved):
                values[place] = before + step
                losses.append(learner.loss(strings, rewards).item())
            values[place] = before
            assert slopes[place].item() == pytest.approx((losses[0] - losses[1]) / (2 * moved), abs=1e-7, rel=1e-5)


def test_the_estimate_is_of_the_expected_rewards_gradient() -> None:
    """Weighted by the probability of each string, REINFORCE's gradients add up to that of the expected reward, whatever
    the baseline is."""
    found = controller(FEW)
    rewards = [((3 * index) % 7) / 7 for index in range(len(STRINGS))]
    probabilities = torch.stack([found.log_probability(each)[0] for each in STRINGS]).exp()
    exact = torch.autograd.grad(-(probabilities * torch.tensor(rewards)).sum(), found.start)[0]
    learner = Learner(found, 0.1, 0.5, 0.0)
    learner.baseline = 0.4
    total = torch.zeros_like(exact)
    for string, reward, share in zip(STRINGS, rewards, probabilities.tolist(), strict=True):
        total += share * torch.autograd.grad(learner.loss([string], [reward]), found.start)[0]
    torch.testing.assert_close(total, exact)


def test_on_a_bandit_it_reaches_the_best_arm() -> None:
    """Two choices and a skip; 1 for one string of 24, less for what shares some of it."""
    decisions = [Decision("arm", 4, 0), Decision("arm", 3, 1), Decision("skip", 2, 1, 0)]
    best, algorithm = [2, 1, 1], Reinforce("reinforce", 16, 0.02, 5, 0.8, 0.001)
    proposals, drawn = algorithm.proposals(decisions, 0), []
    string = next(proposals)
    for _ in range(400):
        drawn.append(string)
        string = proposals.send(sum(a == b for a, b in zip(string, best, strict=True)) / 3)
    assert drawn[:50].count(best) < 15
    assert drawn[-50:].count(best) >= 45


def test_the_same_seed_and_rewards_go_the_same_way() -> None:
    def way(seed: int) -> list[list[int]]:
        proposals = Reinforce("reinforce", 8, 0.02, 2, 0.8, 0.0).proposals(SMALL, seed)
        strings = [next(proposals)]
        for number in range(9):
            strings.append(proposals.send(number % 3))
        return strings

    assert way(3) == way(3) != way(4)
