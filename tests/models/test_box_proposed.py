"""R-CNN and Fast R-CNN: crops with their context, linear SVMs, torchvision's second stage over one map."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import timm
import torch
from sklearn.linear_model import LinearRegression
from sklearn.svm import LinearSVC
from torch import Tensor

from cnntrain.models import registry
from cnntrain.models.box_crops import BETA, CONTEXT, CropHead, warped
from cnntrain.models.box_net import objects
from cnntrain.models.proposals import listed

registry.register()
SIDE = 64


def net(name: str, **more: Any) -> Any:
    torch.manual_seed(0)
    given = dict(backbone="resnet20", num_classes=5, in_chans=1, img_size=SIDE, proposals=20)
    return timm.create_model(name, **given | more)


def images(count: int) -> Tensor:
    return torch.randn(count, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


def targets(count: int) -> dict[str, Tensor]:
    return {
        "boxes": torch.tensor([[[8.0, 8, 40, 44]]]).expand(count, 1, 4),
        "labels": torch.full((count, 1), 3),
        "ignored": torch.zeros(count, 1, dtype=torch.bool),
    }


def test_a_crop_is_the_box_with_its_context_and_zeros_beyond_the_image() -> None:
    image = (torch.arange(SIDE) + 0.5).expand(1, 1, SIDE, SIDE).contiguous()
    inside, beyond = warped(image, [torch.tensor([[20.0, 10, 40, 30], [0, 0, 20, 20]])], 20)[:, 0]
    wide = 20 / (1 - 2 * CONTEXT)
    places = 30 - wide / 2 + (torch.arange(20) + 0.5) * wide / 20
    torch.testing.assert_close(inside, places.expand(20, 20))
    assert (beyond[0] == 0).all() and (beyond[10, 2:] > 0).all()


def test_the_loss_of_classes_is_that_of_scikit_learns_linear_svm() -> None:
    """Whose solution is where the gradient is none."""
    draws, l2, count = np.random.default_rng(0), 0.05, 60
    features, labels = draws.normal(size=(count, 4 * 4)), draws.integers(0, 4, count)
    head = CropHead([4], [1], num_classes=3, crop=8, pooled=2, l2=l2, more={}).double()
    svm = head.roi_heads.box_predictor.svm
    with torch.no_grad():
        for number in range(3):
            judge = LinearSVC(C=1 / (l2 * count), fit_intercept=False, tol=1e-10, max_iter=100_000, random_state=0)
            svm.weight[number] = torch.from_numpy(judge.fit(features, labels == number + 1).coef_[0])
    given = torch.from_numpy(features)
    loss = head._loss(given @ svm.weight.T, torch.zeros(count, 12), torch.from_numpy(labels), torch.zeros(count, 4))
    loss.backward()
    assert svm.weight.grad.abs().max() < 1e-6 < loss


def test_on_fixed_features_svms_and_boxes_become_scikit_learns() -> None:
    """Trained until nothing moves; the places of objects where they are near enough for the loss to be of squares."""
    draws, l2, count, classes = np.random.default_rng(1), 0.02, 150, 3
    features, labels = draws.normal(size=(count, 4 * 4)) + 0.3, draws.integers(0, classes + 1, count)
    features[np.arange(count), labels] += 1.5
    offsets = features @ draws.normal(size=(16, 4)) * 0.05 + draws.normal(size=(count, 4)) * 0.01 + 0.2
    head = CropHead([4], [1], num_classes=classes, crop=8, pooled=2, l2=l2, more={}).double()
    judges = head.roi_heads.box_predictor
    given = [torch.from_numpy(each) for each in (features, labels, offsets)]
    optimizer = torch.optim.LBFGS(
        judges.parameters(), max_iter=4000, tolerance_grad=1e-12, tolerance_change=1e-16, line_search_fn="strong_wolfe"
    )

    def closure() -> float:
        optimizer.zero_grad()
        loss = head._loss(*judges(given[0]), given[1], given[2])
        loss.backward()
        return float(loss.detach())

    optimizer.step(closure)
    margins, places = (each.detach().numpy() for each in judges(given[0]))
    # ours holds no bias small, so that of scikit-learn's counts as next to nothing
    asked = dict(C=1 / (l2 * count), dual=False, intercept_scaling=1e3, tol=1e-10, max_iter=100_000)
    for number in range(classes):
        judge = LinearSVC(**asked).fit(features, labels == number + 1)
        np.testing.assert_allclose(judges.svm.weight[number].detach(), judge.coef_[0], atol=2e-4)
        np.testing.assert_allclose(margins[:, number], judge.decision_function(features), atol=5e-4)
        assert ((margins[:, number] > 0) == judge.predict(features)).all()
        own = labels == number + 1
        fitted = LinearRegression().fit(features[own], offsets[own])
        found = places.reshape(count, classes, 4)[own, number]
        np.testing.assert_allclose(found, fitted.predict(features[own]), atol=1e-5)
        assert np.abs(found - offsets[own]).max() < BETA


def test_losses_and_detections_of_fast_rcnn_are_torchvisions() -> None:
    model = net("fast_rcnn", hidden=16, box_score_thresh=0.0).eval()
    image, sizes = images(1), [(SIDE, SIDE)]
    found, heads = model(image), model.head.roi_heads
    maps, places = model.maps(image), listed(model.propose(image))
    (theirs,), _ = heads(maps, places, sizes)
    count = len(theirs["boxes"])
    torch.testing.assert_close(found.boxes[0, :count, 2:], theirs["boxes"])
    heads.train()
    torch.manual_seed(3)
    _, losses = heads(maps, places, sizes, objects(targets(1), 1))
    model.head.train()
    torch.manual_seed(3)
    torch.testing.assert_close(model(image).losses(targets(1))[0], sum(losses.values()))


def test_pooling_and_the_stride_are_as_asked_for() -> None:
    maps = {how: net("fast_rcnn", hidden=16, pooling=how) for how in ("pool", "align")}
    losses = [each.eval()(images(1)).losses(targets(1)) for each in maps.values()]
    assert not torch.equal(*losses)
    assert net("fast_rcnn", hidden=16).strides == [4] and net("fast_rcnn", hidden=16, stride=2).strides == [2]
    assert net("fast_rcnn", hidden=16, backbone="convnext_atto").strides == [4]
    for more, why in ((dict(stride=3), "stride must be one of the backbone's, 1, 2, 4"), (dict(pooling="max"), "pool")):
        with pytest.raises(ValueError, match=why):
            net("fast_rcnn", hidden=16, **more)
    with pytest.raises(ValueError, match="crop must be 1 pixel or more"):
        net("rcnn", crop=0)


def test_svms_learn_one_image_and_the_trunk_with_them() -> None:
    model = net("rcnn", crop=16, pooled=2, box_batch_size_per_image=16, box_positive_fraction=0.5).train()
    image, wanted = images(1), targets(1)
    image[..., 8:44, 8:40] += 8
    model.backbone.eval()  # its batch norms need more steps than these
    optimizer = torch.optim.Adam(model.parameters(), 0.003)
    for _ in range(20):
        optimizer.zero_grad()
        model(image).losses(wanted).mean().backward()
        optimizer.step()
    assert all(each.grad.abs().sum() > 0 for each in model.backbone.parameters() if each.ndim > 1)
    best = model.eval()(image).boxes[0, 0]
    assert best[0] == 3 and best[1] > 0.5
    torch.testing.assert_close(best[2:], wanted["boxes"][0, 0], atol=5, rtol=0)
