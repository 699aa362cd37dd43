"""Torchvision's detectors as files: the same boxes, scores and classes by ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision.models.detection as tv
from torch import nn
from torchvision.models.detection._utils import overwrite_eps
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops import FrozenBatchNorm2d
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from cnntrain.build import weights
from cnntrain.build.published_names import ours
from cnntrain.models import registry

SIDE, CLASSES = 128, 91
AS_IT_IS = dict(min_size=SIDE, max_size=SIDE, image_mean=[0.0] * 3, image_std=[1.0] * 3)
ANCHORS = (32, 64, 128, 256, 512)
MADE = {"faster_rcnn": tv.FasterRCNN, "mask_rcnn": tv.MaskRCNN, "retinanet": tv.RetinaNet}
KEYS: dict[str, dict[str, Any]] = {
    "faster_rcnn": dict(box_score_thresh=0.005), "mask_rcnn": dict(box_score_thresh=0.005),
    "retinanet": dict(score_thresh=0.3, topk_candidates=50),
}  # fmt: skip


def theirs(name: str, fixed: bool) -> Any:
    """Torchvision's over a ResNet-18, as it makes it over a ResNet-50, with weights and statistics that are random."""
    torch.manual_seed(0)
    norm = FrozenBatchNorm2d if fixed else nn.BatchNorm2d
    kind = dict(backbone_name="resnet18", weights=None, norm_layer=norm, trainable_layers=5)
    if name == "retinanet":
        extra = LastLevelP6P7(256, 256)
        backbone = resnet_fpn_backbone(**kind, returned_layers=[2, 3, 4], extra_blocks=extra)
    else:
        backbone = resnet_fpn_backbone(**kind)
    net = MADE[name](backbone, CLASSES, **AS_IT_IS, **KEYS[name]).eval()
    for each in net.modules():
        if isinstance(each, norm):
            each.running_mean.normal_(0, 0.1)
            each.running_var.uniform_(0.3, 1.2)
    with torch.no_grad():
        predictor = net.head.classification_head.cls_logits if name == "retinanet" else net.roi_heads.box_predictor
        for each in predictor.parameters():
            each.normal_(0, 0.05)
    if fixed:
        overwrite_eps(net, 0.0)  # as with its published weights
    return net


def old(name: str) -> str:
    """As torchvision's first published files call it."""
    for number in range(4):
        name = name.replace(f"mask_head.{number}.0.", f"mask_head.mask_fcn{number + 1}.")
        name = name.replace(f"_head.conv.{number}.0.", f"_head.conv.{2 * number}.")
    name = name.replace("rpn.head.conv.0.0.", "rpn.head.conv.")
    return name.replace(".0.weight", ".weight").replace(".0.bias", ".bias") if "_blocks." in name else name


@pytest.mark.parametrize(
    ("name", "fixed"),
    [
        ("faster_rcnn", True), ("retinanet", False),
        *(pytest.param(*each, marks=pytest.mark.slow) for each in (
            ("faster_rcnn", False), ("retinanet", True), ("mask_rcnn", True), ("mask_rcnn", False)
        )),
    ],
)  # fmt: skip
def test_a_file_finds_what_torchvision_finds(name: str, fixed: bool, tmp_path: Path) -> None:
    registry.register()
    model = theirs(name, fixed)
    state = {old(key) if fixed else key: value for key, value in model.state_dict().items()}
    torch.save(state, tmp_path / "detector.pth")
    more = dict(backbone="resnet18", img_size=SIDE, anchor_sizes=ANCHORS, **KEYS[name])
    classes = CLASSES if name == "retinanet" else CLASSES - 1  # the background is one of torchvision's
    net: Any = timm.create_model(name, num_classes=classes, **more).eval()
    own = {key: value.clone() for key, value in net.state_dict().items()}
    notes = weights.load(net, weights.read(tmp_path / "detector.pth"), [*map(str, range(classes))])
    assert any("torchvision's names" in each for each in notes)
    counted = {key for key in own if key.endswith("num_batches_tracked")}
    assert len(own) - len(counted) == len(state) - (0 if fixed else len(counted))  # each has its place
    image = torch.randn(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1)).double()
    with torch.no_grad():  # in float64: no two boxes change places by rounding
        (wanted,), found = model.double()([image[0]]), net.double()(image)
    count = len(wanted["boxes"])
    assert count > 5
    first = 0 if name == "retinanet" else 1
    rows = found.boxes[0, :count]
    assert ((found.boxes[0, :, 0] >= 0).sum(), (rows[:, 0] + first).tolist()) == (count, wanted["labels"].tolist())
    torch.testing.assert_close(rows[:, 1], wanted["scores"], atol=1e-5, rtol=0)
    torch.testing.assert_close(rows[:, 2:], wanted["boxes"], atol=1e-3, rtol=1e-5)
    if name == "mask_rcnn":
        torch.testing.assert_close(found.masks[0], wanted["masks"][:, 0], atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", MADE)
def test_for_other_classes_only_what_is_of_classes_is_new(name: str, tmp_path: Path) -> None:
    registry.register()
    state = theirs(name, fixed=False).state_dict()
    torch.save(state, tmp_path / "detector.pth")
    net: Any = timm.create_model(name, num_classes=7, backbone="resnet18", img_size=SIDE, anchor_sizes=ANCHORS)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    weights.load(net, weights.read(tmp_path / "detector.pth"), [*"abcdefg"])
    given = {ours(key): value for key, value in state.items()}
    new = {key for key, value in net.state_dict().items() if not torch.equal(value, given[key])}
    predictors = ("roi_heads.box_predictor.", "roi_heads.mask_predictor.mask_fcn_logits.", "classification_head.cls_l")
    assert new and new == {key for key in before if any(each in key for each in predictors)}
    assert all(torch.equal(net.state_dict()[key], before[key]) for key in new)


def test_other_names_stay_as_they_are() -> None:
    assert [ours(each) for each in ("layer1.0.conv1.weight", "backbone.conv1.weight", "head.fc.bias")] == [
        "layer1.0.conv1.weight", "backbone.conv1.weight", "head.fc.bias",
    ]  # fmt: skip
