from __future__ import annotations

import pytest
import torch
from scipy.stats import kstest

from cnntrain.core.draws import MOST, Draws
from cnntrain.core.seeds import derive

MASK = (1 << 64) - 1


def splitmix64(number: int) -> int:
    """The n-th output, as in the paper's algorithm, on Python's integers."""
    state = number * 0x9E3779B97F4A7C15 & MASK
    state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    state = (state ^ (state >> 27)) * 0x94D049BB133111EB & MASK
    return state ^ (state >> 31)


def test_splitmix64_itself_is_right() -> None:
    """The first three of seed 0, as published with the reference implementation."""
    assert [splitmix64(n) for n in (1, 2, 3)] == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]


def test_numbers_are_those_of_splitmix64() -> None:
    positions = [0, 1, 77, 10**6]
    found = Draws(5, 3, torch.tensor(positions)).uniform("crop", 4)
    first = derive(5, "crop", 3)
    for number in range(4):
        for column, position in enumerate(positions):
            assert found[number, column] == (splitmix64(position * MOST + first + number & MASK) >> 11) * 2.0**-53


def test_a_sample_has_the_same_numbers_alone_and_in_any_batch() -> None:
    together = Draws(0, 1, torch.arange(50)).uniform("x", 3)
    shuffled = torch.randperm(50)
    assert torch.equal(Draws(0, 1, shuffled).uniform("x", 3), together[:, shuffled])
    assert torch.equal(Draws(0, 1, torch.tensor([7])).uniform("x", 1), together[:1, 7:8])
    assert Draws(0, 1, torch.tensor([7, 8])).alone() == Draws(0, 1, torch.tensor([7])).alone()


def test_a_stretch_has_its_samples_numbers_and_they_are_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    positions = torch.randperm(50)
    whole, drawn = Draws(0, 1, positions), []
    for start, end in ((0, 7), (7, 20), (20, 50)):
        stretch, alone = whole.stretch(start, end), Draws(0, 1, positions[start:end])
        for name, count in (("x", 3), ("y", 1), ("x", 3)):
            assert torch.equal(stretch.uniform(name, count), alone.uniform(name, count))
        within = stretch.stretch(2, 6)
        assert torch.equal(within.here.uniform("x", 2), alone.uniform("x", 2)[:, 2:6])
        assert stretch.alone() == alone.alone()
        monkeypatch.setattr(whole, "uniform", lambda *what: drawn.append(what))
    assert not drawn


@pytest.mark.parametrize("axis", ["samples", "epochs", "seeds", "numbers", "names"])
def test_numbers_are_uniform_along_whatever_they_depend_on(axis: str) -> None:
    """And one after the other unrelated."""
    count, one = 4000, torch.tensor([3])
    found = {
        "samples": lambda: Draws(0, 0, torch.arange(count)).uniform("x", 1)[0],
        "epochs": lambda: torch.cat([Draws(0, epoch, one).uniform("x", 1)[0] for epoch in range(count)]),
        "seeds": lambda: torch.cat([Draws(seed, 0, one).uniform("x", 1)[0] for seed in range(count)]),
        "numbers": lambda: Draws(0, 0, torch.arange(count // 40)).uniform("x", 40).T.flatten(),
        "names": lambda: torch.cat([Draws(0, 0, one).uniform(str(name), 1)[0] for name in range(count)]),
    }[axis]()
    assert found.dtype == torch.float64 and found.min() >= 0 and found.max() < 1
    assert kstest(found.numpy(), "uniform").pvalue > 1e-4
    pairs = torch.corrcoef(torch.stack([found[:-1], found[1:]]))[0, 1]
    assert abs(pairs) < 4 / count**0.5
