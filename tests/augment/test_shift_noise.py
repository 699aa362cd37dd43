"""Signals moved, scaled and under noise: each is what its numbers say, whatever it is seen with."""

from __future__ import annotations

import numpy as np
import torch
from scipy.stats import kstest

from cnntrain.augment.batched.disturbed import Disturbed
from cnntrain.core.draws import Draws


def draws(count: int) -> Draws:
    return Draws(3, 1, torch.arange(count))


def test_a_shift_repeats_the_end_and_loses_what_moves_out() -> None:
    signals = torch.arange(20.0).expand(50, 2, 20).clone()
    moved, _ = Disturbed(0.3, 0.0, 0.0, [0, 0], [1, 1])(signals, None, draws(50))
    steps = {int((moved[each, 0, 10] - 10).item()) for each in range(50)}
    assert steps <= set(range(-6, 7)) and len(steps) > 8
    for each in moved.numpy():
        places = np.clip(np.arange(20) + each[0, 10] - 10, 0, 19)
        np.testing.assert_array_equal(each, [places, places])


def test_scaling_is_about_the_mean_and_noise_is_normal() -> None:
    signals = torch.full((400, 1, 100), 5.0)
    scaled, _ = Disturbed(0.0, 0.5, 0.0, [4.0], [2.0])(signals, None, draws(400))
    assert 4.5 <= scaled.min() < 4.6 and 5.4 < scaled.max() <= 5.5
    noisy, _ = Disturbed(0.0, 0.0, 0.1, [4.0], [2.0])(signals, None, draws(400))
    assert kstest(((noisy - 5) / 0.2).flatten().double().numpy(), "norm").pvalue > 0.01


def test_a_sample_is_disturbed_alike_alone_and_among_others() -> None:
    signals, change = torch.randn(5, 3, 70), Disturbed(0.2, 0.1, 0.3, [0, 1, 2], [1, 1, 2])
    together, _ = change(signals, None, draws(5))
    alone, _ = change(signals[3:4], None, Draws(3, 1, torch.tensor([3])))
    assert torch.equal(alone[0], together[3])
