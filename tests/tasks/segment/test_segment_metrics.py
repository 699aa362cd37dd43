"""Pixels judged as torchmetrics judges them, however the images were batched or shared."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot
from torchmetrics.classification import MulticlassAccuracy, MulticlassJaccardIndex

from cnntrain.core.targets import IGNORE
from cnntrain.tasks.segment.metrics import Totals, figures, per_class
from cnntrain.tasks.segment.objective import Segmentation
from cnntrain.tasks.segment.resampling import intervals, of_classes

CLASSES, COUNT = 5, 6
CPU = torch.device("cpu")


def made(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Logits and masks, of which a third is ignored, one image whole; no pixel has the last class or was given it."""
    draws = torch.Generator().manual_seed(seed)
    logits = torch.randn(COUNT, CLASSES, 7, 9, generator=draws)
    logits[:, -1] = -9
    masks = torch.randint(0, CLASSES - 1, (COUNT, 7, 9), generator=draws, dtype=torch.uint8)
    masks[torch.rand(COUNT, 7, 9, generator=draws) < 1 / 3] = IGNORE
    masks[2] = IGNORE
    return logits, masks


def totals_of(logits: Tensor, masks: Tensor, size: int) -> Totals:
    objective, totals = Segmentation(), Totals(CPU)
    for some, wanted in zip(logits.split(size), masks.split(size), strict=True):
        totals.add(*objective.plain_loss(some, wanted), wanted)
    return totals


def test_figures_are_those_of_torchmetrics() -> None:
    logits, masks = made()
    found = totals_of(logits, masks, 4).metrics()
    kinds = dict(num_classes=CLASSES, ignore_index=IGNORE)
    wanted = {
        "miou": MulticlassJaccardIndex(average="macro", **kinds),
        "pixel_accuracy": MulticlassAccuracy(average="micro", **kinds),
        "mean_accuracy": MulticlassAccuracy(average="macro", **kinds),
    }
    for name, metric in wanted.items():
        assert found[name] == pytest.approx(float(metric(logits, masks.long())), abs=1e-6), name
    counts = Segmentation().answers(logits, masks)
    assert {name: float(each) for name, each in figures(counts.sum(0).numpy()).items()}.items() <= dict(found).items()
    classes = MulticlassJaccardIndex(average="none", **kinds)(logits, masks.long())
    assert per_class(counts.sum(0).numpy())[:-1] == pytest.approx(classes[:-1].numpy(), abs=1e-6)
    assert np.isnan(per_class(counts.sum(0).numpy())[-1])


def test_batches_and_a_resume_change_nothing() -> None:
    logits, masks = made()
    whole, half, rest = (
        totals_of(*each, 2) for each in ((logits, masks), (logits[:3], masks[:3]), (logits[3:], masks[3:]))
    )
    resumed = Totals(CPU)
    resumed.load(half.reduced())
    for some, wanted in zip(logits[3:], masks[3:], strict=True):
        resumed.add(*Segmentation().plain_loss(some[None], wanted[None]), wanted[None])
    assert resumed.metrics() == pytest.approx(whole.metrics())
    assert torch.equal(half.matrix + rest.matrix, whole.matrix)
    assert np.isnan(list(Totals(CPU).metrics().values())[:4]).all()


def test_the_loss_is_each_images_mean_over_its_pixels() -> None:
    logits, masks = made()
    weights = [1.0, 2.0, 0.5, 0.0, 3.0]
    found, judged = Segmentation(0.1, 0.0, weights).loss(logits.requires_grad_(), masks)
    each = []
    for rows, wanted in zip(logits.permute(0, 2, 3, 1), masks.long(), strict=True):
        kept = wanted != IGNORE
        losses = cross_entropy(rows[kept], wanted[kept], reduction="none", label_smoothing=0.1)
        each.append((losses * torch.tensor(weights)[wanted[kept]]).mean() if kept.any() else torch.zeros(()))
    torch.testing.assert_close(found, torch.stack(each).mean())
    (slope,) = torch.autograd.grad(found, logits)
    assert judged is logits and not slope.movedim(1, -1)[masks == IGNORE].any()


def test_auxiliary_logits_count_at_their_weight_in_training_alone() -> None:
    logits, masks = made()
    task = Segmentation(aux_weight=0.4)
    one, other = (task.plain_loss(each, masks)[0] for each in (logits, -logits))
    assert task.loss((logits, -logits), masks)[0].item() == pytest.approx(one.item() + 0.4 * other.item(), rel=1e-5)
    assert task.plain_loss((logits, -logits), masks)[0] == one


def test_intervals_are_those_of_images_drawn_anew() -> None:
    logits, masks = made()
    counts = Segmentation().answers(logits, masks).numpy()
    draws = np.random.default_rng(1)
    drawn = [counts[draws.integers(len(counts), size=len(counts))].sum(0) for _ in range(1000)]
    values = np.array([float(figures(each)["miou"]) for each in drawn])
    assert intervals(counts)["miou"] == pytest.approx(np.nanpercentile(values, [2.5, 97.5]), abs=0.02)
    assert of_classes(counts)[-1] is None and len(of_classes(counts)) == CLASSES


def test_perfect_masks_have_perfect_figures() -> None:
    _, masks = made()
    logits = 9.0 * one_hot(masks.long().clamp(max=CLASSES - 1), CLASSES).movedim(-1, 1)
    found = totals_of(logits, masks, COUNT).metrics()
    assert (found["miou"], found["pixel_accuracy"], found["mean_accuracy"], found["count"]) == (1.0, 1.0, 1.0, COUNT)
