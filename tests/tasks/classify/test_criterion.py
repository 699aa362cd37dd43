"""What is minimised, against sums by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cnntrain.tasks.classify.criterion import Criterion

LABELS = torch.tensor([2, 0, 1])
LOGITS, FIRST, SECOND = torch.randn(3, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def cross_entropy(logits: Tensor, smoothing: float = 0.0) -> Tensor:
    """The mean of minus the log-probabilities under the labels mixed with even odds."""
    classes = logits.shape[1]
    wanted = torch.full_like(logits, smoothing / classes)
    wanted[range(len(LABELS)), LABELS] += 1 - smoothing
    return -(wanted * (logits - logits.exp().sum(1, keepdim=True).log())).sum(1).mean()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weight", [0.0, 0.3])
def test_auxiliary_losses_are_added_at_their_weight(weight: float, smoothing: float) -> None:
    criterion = Criterion(smoothing, weight)
    loss, logits = criterion((LOGITS, FIRST, SECOND), LABELS)
    assert logits is LOGITS
    terms = [cross_entropy(each, smoothing).item() for each in (LOGITS, FIRST, SECOND)]
    assert loss.item() == pytest.approx(terms[0] + weight * (terms[1] + terms[2]), abs=1e-12)


def test_one_output_is_judged_alone() -> None:
    loss, logits = Criterion(aux_weight=0.3)(LOGITS, LABELS)
    assert logits is LOGITS
    assert loss.item() == pytest.approx(cross_entropy(LOGITS).item(), abs=1e-12)


def test_the_weight_scales_the_heads_gradients() -> None:
    gradients = {}
    for weight in (0.3, 1.0):
        outputs = [each.clone().requires_grad_(True) for each in (LOGITS, FIRST)]
        Criterion(aux_weight=weight)(tuple(outputs), LABELS)[0].backward()
        gradients[weight] = [each.grad for each in outputs]
    (main, head), (same, whole) = gradients[0.3], gradients[1.0]
    assert torch.equal(main, same)
    assert torch.allclose(head, 0.3 * whole, atol=1e-15)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_classifiers_side_by_side_have_each_its_own_loss_and_gradient(smoothing: float) -> None:
    bank = torch.stack([LOGITS, FIRST, SECOND]).requires_grad_(True)
    losses, logits = Criterion(smoothing)(bank, LABELS)
    assert logits is bank
    alone = [each.clone().requires_grad_(True) for each in (LOGITS, FIRST, SECOND)]
    expected = [cross_entropy(each, smoothing) for each in alone]
    assert losses.tolist() == pytest.approx([each.item() for each in expected], abs=1e-12)
    losses.sum().backward()
    for number, each in enumerate(expected):
        each.backward()
        assert torch.allclose(bank.grad[number], alone[number].grad, atol=1e-15)
