"""Losses of several labels against torch, torchvision and timm."""

from __future__ import annotations

import pytest
import torch
from timm.loss import AsymmetricLossMultiLabel
from torch import nn
from torchvision.ops import sigmoid_focal_loss

from cnntrain.tasks.multilabel.criterion import Criterion, Form

DRAWN = torch.Generator().manual_seed(0)
LOGITS = 3 * torch.randn(6, 4, generator=DRAWN, dtype=torch.float64)
TARGETS = torch.rand(6, 4, generator=DRAWN) < 0.4
WEIGHTS = [0.5, 2.0, 1.0, 3.0]
FORMS = [Form("bce"), Form("focal", 2.0), Form("asymmetric", 4.0, 0.05)]


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_the_binary_loss_is_torchs(smoothing: float, weights: list[float] | None) -> None:
    theirs = nn.BCEWithLogitsLoss(pos_weight=None if weights is None else torch.tensor(weights).double())
    expected = theirs(LOGITS, TARGETS.double() * (1 - smoothing) + smoothing / 2)
    found, logits = Criterion(Form("bce"), smoothing, class_weights=weights)(LOGITS, TARGETS)
    assert logits is LOGITS
    assert found.item() == pytest.approx(expected.item(), abs=1e-14)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_the_focal_loss_is_torchvisions(gamma: float) -> None:
    theirs = sigmoid_focal_loss(LOGITS, TARGETS.double(), alpha=-1, gamma=gamma).mean(1)
    assert torch.allclose(Criterion(Form("focal", gamma)).each(LOGITS, TARGETS), theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("margin", [0.0, 0.05])
def test_the_asymmetric_loss_is_timms(margin: float) -> None:
    theirs = AsymmetricLossMultiLabel(gamma_neg=4, gamma_pos=0, clip=margin, eps=1e-30)(LOGITS, TARGETS.double())
    found = Criterion(Form("asymmetric", 4.0, margin))(LOGITS, TARGETS)[0]
    assert found.item() == pytest.approx(theirs.item() / LOGITS.shape[1], rel=1e-6)  # theirs is in float32


@pytest.mark.parametrize("margin", [0.0, 0.05])
def test_the_asymmetric_loss_by_its_formula(margin: float) -> None:
    chance, there = LOGITS.sigmoid(), TARGETS.double()
    moved = (chance - margin).clamp(min=0)
    expected = -(there * chance.log() + (1 - there) * moved**4 * (1 - moved).log()).mean(1)
    assert torch.allclose(Criterion(Form("asymmetric", 4.0, margin)).each(LOGITS, TARGETS), expected, atol=1e-12)


@pytest.mark.parametrize("form", FORMS[1:])
def test_weights_multiply_what_is_there(form: Form) -> None:
    there = Criterion(form).each(LOGITS, torch.ones_like(LOGITS))
    assert torch.allclose(Criterion(form, class_weights=[2.0] * 4).each(LOGITS, torch.ones_like(LOGITS)), 2 * there)
    absent = torch.zeros_like(LOGITS)
    assert torch.equal(
        Criterion(form, class_weights=[2.0] * 4).each(LOGITS, absent), Criterion(form).each(LOGITS, absent)
    )


@pytest.mark.parametrize("form", FORMS)
def test_sure_answers_have_finite_losses_and_gradients(form: Form) -> None:
    logits = torch.tensor([[300.0, -300.0, 300.0, -300.0]], requires_grad=True)
    loss = Criterion(form)(logits, torch.tensor([[True, True, False, False]]))[0]
    loss.backward()
    assert loss.isfinite() and logits.grad is not None and logits.grad.isfinite().all() and logits.grad[0, 1] != 0


def test_auxiliary_losses_are_added_at_their_weight() -> None:
    criterion = Criterion(Form("bce"), aux_weight=0.3)
    loss, logits = criterion((LOGITS, -LOGITS), TARGETS)
    alone = [criterion(each, TARGETS)[0].item() for each in (LOGITS, -LOGITS)]
    assert logits is LOGITS
    assert loss.item() == pytest.approx(alone[0] + 0.3 * alone[1], abs=1e-14)
