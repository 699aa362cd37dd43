"""What is minimised, against sums by hand."""

from __future__ import annotations

import pytest
import torch
from timm.loss import BinaryCrossEntropy
from torch import Tensor, nn
from torchvision.ops import sigmoid_focal_loss

from cnntrain.tasks.classify.criterion import Criterion, Loss

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


WEIGHTS = [0.5, 2.0, 1.0, 3.0]


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_weighted_losses_are_torchs_and_their_mean_is_over_samples(smoothing: float) -> None:
    torchs = nn.CrossEntropyLoss(torch.tensor(WEIGHTS).double(), reduction="none", label_smoothing=smoothing)
    criterion = Criterion(smoothing, class_weights=WEIGHTS)
    expected = torchs(LOGITS, LABELS)
    assert torch.allclose(criterion.each(LOGITS, LABELS), expected, atol=1e-14)
    assert criterion(LOGITS, LABELS)[0].item() == pytest.approx(expected.mean().item(), abs=1e-14)


def test_the_weighted_mean_of_torch_is_ours_over_the_mean_weight() -> None:
    theirs = nn.CrossEntropyLoss(torch.tensor(WEIGHTS).double())(LOGITS, LABELS)
    ours = Criterion(class_weights=WEIGHTS)(LOGITS, LABELS)[0]
    assert (ours / torch.tensor(WEIGHTS).double()[LABELS].mean()).item() == pytest.approx(theirs.item(), abs=1e-14)


@pytest.mark.parametrize("kind", ["cross_entropy", "focal", "bce"])
def test_micro_batches_add_up_to_the_steps_weighted_loss(kind: Loss) -> None:
    logits, labels = torch.randn(8, 4, dtype=torch.float64), torch.arange(8) % 4
    criterion = Criterion(0.1, 0.0, kind, 2.0, WEIGHTS)
    pieces = [criterion(*each)[0] for each in zip(logits.split(2), labels.split(2), strict=True)]
    assert torch.stack(pieces).mean().item() == pytest.approx(criterion(logits, labels)[0].item(), abs=1e-14)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_the_focal_loss_of_two_classes_is_torchvisions(gamma: float) -> None:
    """The softmax of two logits is the sigmoid of their difference."""
    logits, labels = 4 * torch.randn(20, 2, dtype=torch.float64), torch.arange(20) % 2
    theirs = sigmoid_focal_loss(logits[:, 1] - logits[:, 0], labels.double(), alpha=-1, gamma=gamma)
    assert torch.allclose(Criterion(loss="focal", gamma=gamma).each(logits, labels), theirs, rtol=1e-9, atol=1e-12)


def test_the_focal_loss_by_its_formula_with_weights() -> None:
    chances = LOGITS.softmax(1)[range(3), LABELS]
    expected = -torch.tensor(WEIGHTS).double()[LABELS] * (1 - chances) ** 1.5 * chances.log()
    found = Criterion(loss="focal", gamma=1.5, class_weights=WEIGHTS).each(LOGITS, LABELS)
    assert torch.allclose(found, expected, atol=1e-14)


def test_the_focal_loss_has_a_gradient_where_a_sample_is_learned_wholly() -> None:
    logits = torch.tensor([[200.0, 0.0], [0.0, 0.0]], requires_grad=True)
    Criterion(loss="focal", gamma=0.5)(logits, torch.tensor([0, 1]))[0].backward()
    assert logits.grad is not None and logits.grad.isfinite().all() and logits.grad[1].any()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_binary_loss_is_timms(smoothing: float) -> None:
    assert Criterion(smoothing, loss="bce")(LOGITS, LABELS)[0].item() == pytest.approx(
        BinaryCrossEntropy(smoothing)(LOGITS, LABELS).item(), abs=1e-12
    )
    soft = torch.nn.functional.one_hot(LABELS, 4).double() * 0.7 + 0.075
    theirs = nn.functional.binary_cross_entropy_with_logits(LOGITS, soft)
    assert Criterion(loss="bce")(LOGITS, soft)[0].item() == pytest.approx(theirs.item(), abs=1e-14)


@pytest.mark.parametrize("kind", ["focal", "bce"])
def test_other_losses_side_by_side_are_those_of_each_alone(kind: Loss) -> None:
    criterion = Criterion(0.1, 0.0, kind, 2.0, WEIGHTS)
    bank = torch.stack([LOGITS, FIRST])
    assert torch.allclose(criterion(bank, LABELS)[0], torch.stack([criterion(each, LABELS)[0] for each in bank]))


def test_half_precision_is_computed_in_float32() -> None:
    assert Criterion(loss="focal", gamma=2.0)(LOGITS.bfloat16(), LABELS)[0].dtype == torch.float32
