from __future__ import annotations

import random
import subprocess
import sys
from contextlib import suppress

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cnntrain.core import seeds

parts = st.lists(st.one_of(st.integers(0, 10_000), st.text(max_size=5)), min_size=1, max_size=4)


@given(parts, parts)
def test_different_places_have_different_seeds(one: list[int | str], other: list[int | str]) -> None:
    assert 0 <= seeds.derive(*one) < 2**63
    assert (seeds.derive(*one) == seeds.derive(*other)) == (one == other)


def test_a_seed_is_the_same_in_every_process_and_version() -> None:
    code = "from cnntrain.core import seeds; print(seeds.derive(0, 'order', 3))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert int(told) == seeds.derive(0, "order", 3) == 386106667988085106


def test_neighbouring_seeds_are_unrelated() -> None:
    draws = torch.stack([torch.rand(2000, generator=seeds.generator(0, "augment", 0, i)) for i in range(8)])
    correlation = torch.corrcoef(draws) - torch.eye(8)
    assert correlation.abs().max() < 0.12


def test_the_global_generator_is_as_it_was_after_the_block() -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    with seeds.cpu_seed("a", 1):
        inside = torch.rand(4)
    assert torch.equal(torch.rand(4), expected)
    assert torch.equal(inside, torch.rand(4, generator=seeds.generator("a", 1)))


def test_the_global_generator_is_as_it_was_after_an_error_in_the_block() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    with pytest.raises(ZeroDivisionError), seeds.cpu_seed(1):
        1 / 0  # noqa: B018
    assert torch.equal(torch.get_rng_state(), before)


def test_all_global_generators_are_as_they_were_after_the_block() -> None:
    def draw() -> list[float]:
        return [random.random(), float(np.random.rand()), torch.rand(()).item()]

    random.seed(1), np.random.seed(2), torch.manual_seed(3)
    expected = draw()
    random.seed(1), np.random.seed(2), torch.manual_seed(3)
    with suppress(ZeroDivisionError), seeds.generators_kept():
        random.seed(9), np.random.seed(9), seeds.seed_step(9)
        draw()
        1 / 0  # noqa: B018
    assert draw() == expected


@pytest.mark.gpu
@pytest.mark.parametrize("used_before", [True, False])
def test_the_generators_of_gpus_go_on_as_they_would_have(used_before: bool) -> None:
    """In a process of its own: this one may have used the GPU already."""
    code = (
        "import torch; from cnntrain.core import seeds; torch.manual_seed(3)\n"
        f"if {used_before}: torch.cuda.init()\n"
        "with seeds.generators_kept(): torch.cuda.init(); seeds.seed_step(9)\n"
        "found = torch.rand(3, device='cuda'); torch.manual_seed(3)\n"
        "print(torch.equal(found, torch.rand(3, device='cuda')))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told == "True\n"


def test_a_step_draws_the_same_whatever_came_before() -> None:
    torch.manual_seed(9)
    seeds.seed_step(0, "step", 4)
    first = torch.rand(3)
    seeds.seed_step(0, "step", 4)
    assert torch.equal(torch.rand(3), first)
