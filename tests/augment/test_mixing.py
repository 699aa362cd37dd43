"""MixUp and CutMix: shares, boxes, targets, and losses by hand."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import kstest
from torch.nn.functional import cross_entropy

from cnntrain.augment.batched.mixing import Mixing
from cnntrain.core.draws import Draws
from cnntrain.tasks.classify.criterion import Criterion

COUNT, SIDE = 4000, 32


def draws(count: int = COUNT) -> Draws:
    return Draws(1, 2, torch.arange(count))


@pytest.mark.parametrize("alpha", [0.2, 1.0, 3.0])
def test_shares_have_the_beta_distribution(alpha: float) -> None:
    rows, columns, share = Mixing(alpha, 0.0, 5).shares(SIDE, SIDE, draws())
    assert rows.all() and columns.all()
    assert kstest(share.numpy(), "beta", (alpha, alpha)).pvalue > 1e-3


def test_boxes_have_the_area_of_the_share_but_for_what_sticks_out() -> None:
    """Areas of boxes that do not reach an edge; the middles are everywhere equally often."""
    side = 1000
    rows, columns, share = Mixing(0.0, 1.0, 5).shares(side, side, draws())
    assert (share == 0).all()
    inner = ~(rows[:, 0] | rows[:, -1] | columns[:, 0] | columns[:, -1])
    lengths = rows.sum(1)
    assert torch.equal(lengths[inner], columns.sum(1)[inner])
    alone = rows & ~(rows[:, :1] | rows[:, -1:])
    middles = (alone.double() * torch.arange(side)).sum(1) / alone.sum(1)
    small = (lengths > 0) & (lengths < 100) & alone.any(1)
    assert small.sum() > 30 and kstest(middles[small].numpy() / side, "uniform").pvalue > 1e-3
    # a side of the box is sqrt(1 - Beta(1, 1)): its square is uniform
    size, down, _, _ = draws().uniform("mix", 4)
    expected = (1 - size).sqrt() * side
    middle = (down > 0.5 * (1 - size).sqrt()) & (down < 1 - 0.5 * (1 - size).sqrt())
    assert (rows.sum(1) - expected)[middle].abs().max() <= 3


def test_of_both_each_sample_takes_one_evenly() -> None:
    _, _, share = Mixing(0.3, 1.0, 5).shares(SIDE, SIDE, draws())
    assert 0.46 < (share == 0).double().mean() < 0.54


@pytest.mark.parametrize("mixing", [Mixing(0.4, 0.0, 5), Mixing(0.0, 1.0, 5), Mixing(0.4, 1.0, 5)])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_images_and_targets_are_mixed_alike_and_the_loss_is_the_losses_mix(mixing: Mixing, smoothing: float) -> None:
    count = 50
    generator = torch.Generator().manual_seed(0)
    ours, theirs = torch.randn(2, count, 3, SIDE, SIDE, generator=generator)
    labels, their = torch.randint(5, (2, count), generator=generator)
    images, targets = mixing(ours, labels, theirs, their, draws(count))
    assert targets.shape == (count, 5) and targets.dtype == torch.float32
    torch.testing.assert_close(targets.sum(1), torch.ones(count))
    logits = torch.randn(count, 5, generator=generator)
    each = [cross_entropy(logits, of, reduction="none", label_smoothing=smoothing) for of in (labels, their)]
    total = torch.zeros(())
    for number, (rows, columns, share) in enumerate(zip(*mixing.shares(SIDE, SIDE, draws(count)), strict=True)):
        if share > 0:
            weight = share.item()
            expected = weight * ours[number] + (1 - weight) * theirs[number]
            torch.testing.assert_close(images[number], expected)
        else:
            expected = ours[number].clone()
            box = rows[:, None] & columns
            expected[:, box] = theirs[number][:, box]
            weight = 1 - box.double().mean().item()
            assert torch.equal(images[number], expected)
        assert targets[number, labels[number]] >= weight - 1e-6
        total += weight * each[0][number] + (1 - weight) * each[1][number]
    torch.testing.assert_close(Criterion(smoothing)(logits, targets)[0], total / count)
    bank = Criterion(smoothing)(torch.stack([logits, logits]), targets)[0]
    torch.testing.assert_close(bank, (total / count).expand(2))


def test_partners_are_drawn_from_the_whole_part() -> None:
    partners = Mixing(1.0, 0.0, 5).partners(draws(), 400)
    assert kstest((partners.double() / 400).numpy(), "uniform").pvalue > 1e-3
    few = Draws(1, 2, torch.tensor([7, 3000]))
    assert torch.equal(Mixing(1.0, 0.0, 5).partners(few, 400), partners[few.positions])
    assert not torch.equal(Mixing(1.0, 0.0, 5).partners(Draws(1, 3, few.positions), 400), partners[few.positions])
