"""Networks that find objects: torchvision's sizes, torchvision's own losses and detections, images by themselves."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
import torchvision.models.detection as tv
from torch import Tensor, nn

from cnntrain.models import registry
from cnntrain.models.box_net import anchor_sizes
from cnntrain.models.box_net import objects as listed
from cnntrain.transfer.groups import coarse_groups

registry.register()
# torchvision's table of weights, whose batch norms are no parameters, at 91 classes
PARAMETERS = {
    "faster_rcnn": (tv.fasterrcnn_resnet50_fpn, 41_755_286),
    "mask_rcnn": (tv.maskrcnn_resnet50_fpn, 44_401_393),
    "retinanet": (tv.retinanet_resnet50_fpn, 34_014_999),
}
SMALL: dict[str, dict[str, Any]] = {
    "faster_rcnn": dict(channels=16, hidden=32),
    "mask_rcnn": dict(channels=16, hidden=32, mask_channels=8),
    "retinanet": dict(channels=16),
    "ssdlite": dict(extra=[16, 16]),
    "fast_rcnn": dict(hidden=16, proposals=20),
    "rcnn": dict(crop=16, pooled=2, proposals=20, box_batch_size_per_image=8),
}
SIDE, COUNT = 64, 3


def small(name: str, **more: Any) -> Any:
    torch.manual_seed(0)
    given = dict(backbone="resnet20", num_classes=5, in_chans=1, img_size=SIDE)
    return timm.create_model(name, **given | SMALL[name] | more)


def targets() -> dict[str, Tensor]:
    """Two objects, one and one that is ignored, none."""
    boxes, labels = torch.zeros(COUNT, 2, 4), torch.full((COUNT, 2), -1)
    boxes[0] = torch.tensor([[3.0, 5, 25, 30], [30, 28, 50, 60]])
    boxes[1] = torch.tensor([[10.0, 10, 40, 34], [1, 1, 30, 30]])
    labels[0], labels[1] = torch.tensor([4, 0]), torch.tensor([2, 2])
    instances = torch.zeros(COUNT, SIDE, SIDE, dtype=torch.uint8)
    instances[0, 5:30, 3:25], instances[0, 28:60, 30:50], instances[1, 10:34, 10:40] = 1, 2, 1
    ignored = torch.tensor([[False, False], [False, True], [False, False]])
    return {"boxes": boxes, "labels": labels, "ignored": ignored, "instances": instances}


def images() -> Tensor:
    return torch.randn(COUNT, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


def some_of(found: dict[str, Tensor], place: slice) -> dict[str, Tensor]:
    return {name: each[place] for name, each in found.items()}


@pytest.mark.parametrize("name", PARAMETERS)
def test_sizes_are_the_published_ones(name: str) -> None:
    make, published = PARAMETERS[name]
    with torch.device("meta"):
        net, twin = timm.create_model(name), make(weights=None, weights_backbone=None)
    norms = sum(p.numel() for each in twin.modules() if isinstance(each, nn.BatchNorm2d) for p in each.parameters())
    counts = [sum(p.numel() for p in each.parameters()) for each in (net, twin)]
    assert counts == [published + norms] * 2


@pytest.mark.parametrize("name", SMALL)
def test_losses_are_of_each_image_by_itself_and_reach_every_parameter(name: str) -> None:
    net = small(name).eval()  # batch norms that do not look at the others
    whole = net(images()).losses(targets())
    alone = [net(images()[each : each + 1]).losses(some_of(targets(), slice(each, each + 1))) for each in range(COUNT)]
    torch.testing.assert_close(whole, torch.cat(alone), rtol=1e-4, atol=1e-4)
    net.train()
    net(images()).losses(targets()).mean().backward()
    assert all(each.grad is not None for each in net.parameters())


@pytest.mark.parametrize("name", SMALL)
def test_an_evaluation_draws_nothing_of_the_run(name: str) -> None:
    net = small(name).eval()
    before = torch.get_rng_state()
    one, other = (net(images()) for _ in range(2))
    assert torch.equal(one.losses(targets()), other.losses(targets())) and torch.equal(one.boxes, other.boxes)
    assert torch.equal(before, torch.get_rng_state())
    assert net.train()(images()).boxes is None


def test_losses_and_detections_are_torchvisions() -> None:
    """Of one image, whose draws are the same."""
    net = small("mask_rcnn", box_score_thresh=0.0).eval()
    image, wanted = images()[:1], some_of(targets(), slice(0, 1))
    head = net.head
    found = net(image)
    sizes, maps = [(SIDE, SIDE)], head.pyramid(net.maps(image))
    picture = tv.image_list.ImageList(image, sizes)
    proposals, _ = head.rpn(picture, maps)
    (theirs,), _ = head.roi_heads(maps, proposals, sizes)
    count = len(theirs["boxes"])
    assert count and int((found.boxes[0, :, 0] >= 0).sum()) == count
    torch.testing.assert_close(found.boxes[0, :count, 2:], theirs["boxes"])
    torch.testing.assert_close(found.boxes[0, :count, 1], theirs["scores"])
    assert torch.equal(found.boxes[0, :count, 0].long() + 1, theirs["labels"])
    head.train()
    asked = listed(wanted, 1, masks=True)
    torch.manual_seed(3)
    proposals, of_proposals = head.rpn(picture, maps, asked)
    _, of_objects = head.roi_heads(maps, proposals, sizes, asked)
    net.backbone.eval()
    torch.manual_seed(3)
    (ours,) = net(image).losses(wanted)
    torch.testing.assert_close(ours, sum([*of_proposals.values(), *of_objects.values()]))


@pytest.mark.parametrize(("name", "backbone"), [("faster_rcnn", "convnext_atto"), ("ssdlite", "mobilenetv3_small_050")])
def test_any_network_of_timms_is_a_trunk(name: str, backbone: str) -> None:
    net = small(name, backbone=backbone)
    groups = coarse_groups(net)
    assert groups[-1].parameters == tuple(n for n, _ in net.named_parameters() if n.startswith("head."))
    assert len(groups) >= 4


def test_anchors_are_torchvisions_where_images_are_large() -> None:
    assert anchor_sizes([4, 8, 16, 32, 64], 800, None) == [32, 64, 128, 256, 512]
    assert anchor_sizes([4, 8, 16], 64, None) == [16, 32, 64]
    with pytest.raises(ValueError, match="anchor_sizes must be 3 pixels"):
        anchor_sizes([4, 8, 16], 64, [8, 16])


@pytest.mark.parametrize("name", SMALL)
def test_layers_can_be_counted_without_values(name: str) -> None:
    with torch.device("meta"):
        net = small(name).eval()
        assert net(torch.empty(2, 1, SIDE, SIDE)).boxes.shape[::2] == (2, 6)
