"""Explanations of masks and boxes: what the score is of, its gradient, and what is said where there is nothing."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from looking import images, network, noise, subject_of
from torch import Tensor, nn

from cnntrain.config.methods import method
from cnntrain.core.errors import InputError
from cnntrain.models.box_net import Detected
from cnntrain.models.pixel_vgg import FcnVgg16
from cnntrain.study.explain import fields, gradients
from cnntrain.study.explain.base import Attribution
from cnntrain.study.explain.explaining import Explained, Explanation
from cnntrain.study.explain.hooks import undisturbed
from cnntrain.study.explain.subject import Shown, Subject
from cnntrain.tasks.detect.score import BoxScore
from cnntrain.tasks.segment.score import PixelScore

DETECTORS: dict[str, dict[str, Any]] = {
    "faster_rcnn": dict(channels=16, hidden=32),
    "mask_rcnn": dict(channels=16, hidden=32, mask_channels=8),
    "retinanet": dict(channels=16, score_thresh=0.0),
    "ssdlite": dict(extra=[16, 16]),
    "fast_rcnn": dict(hidden=16, proposals=20),
    "rcnn": dict(crop=16, pooled=2, proposals=20),
}
BLACK_BOX = "occlusion"


def shown(inputs: Tensor) -> Shown:
    names = [f"{number}.png" for number in range(len(inputs))]
    return Shown(names, [""] * len(inputs), lambda: iter([([*range(len(inputs))], inputs)]), lambda each: inputs[each])


def explained(
    subject: Subject, inputs: Tensor, name: str, target: str, **keys: Any
) -> tuple[list[Explanation], list[str]]:
    """And what was said."""
    chosen, said = method(name, keys), list[str]()
    assert isinstance(chosen, Attribution)
    return list(Explained(chosen, subject, shown(inputs), target, said.append)), said


class Quarters(nn.Module):
    """Gives class 1 to what is bright in its left half and class 2 to what is bright in its right one."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 1, bias=False)
        nn.init.ones_(self.conv.weight)

    def forward(self, images: Tensor) -> Tensor:
        bright = self.conv(images)[:, 0]
        half = images.shape[3] // 2
        logits = torch.stack([torch.full_like(bright, 0.5), bright, bright], 1)
        logits[:, 1, :, half:] = logits[:, 2, :, :half] = -9
        return logits


def quarters() -> tuple[Subject, Tensor]:
    """An image with 6 bright pixels on the left and 2 on the right, one with 2 on the right alone, one with none."""
    inputs = torch.zeros(3, 1, 8, 8)
    inputs[0, 0, 1:3, 0:3] = inputs[:2, 0, 6, 5:7] = 1
    return subject_of(Quarters().eval(), 8, 1, 3, scoring=PixelScore), inputs


def test_a_mask_is_explained_by_the_pixels_of_its_class() -> None:
    subject, inputs = quarters()
    found, said = explained(subject, inputs, "saliency", "predicted")
    assert not said and [each.target for each in found] == ["class 1", "class 2", "class 0"]  # the background alone
    for each, pixels in zip(found, (6, 2, 64), strict=True):
        assert each.facts["pixels"] == pixels and "logits over the pixels" in each.facts["score_is"]
        assert each.part is not None and each.part.sum() == pixels and each.target == each.answer
    np.testing.assert_array_equal(found[0].map > 0, found[0].part)  # they are what the sum depends on
    sure = torch.tensor([0.5, 1.0, -9.0]).softmax(0)[1].item()
    assert found[0].probability == pytest.approx(sure, abs=1e-6)


def test_pixels_stay_those_of_the_image_as_it_is() -> None:
    """What is hidden is given to the background, and counts all the same."""
    subject, inputs = quarters()
    (first, _, _), _ = explained(subject, inputs, BLACK_BOX, "predicted", window=2, stride=2)
    expected = np.zeros((8, 8))
    expected[0:4, 0:4] = [[2, 2, 1, 1], [2, 2, 1, 1], [2, 2, 1, 1], [2, 2, 1, 1]]
    np.testing.assert_array_equal(first.map, expected)
    asked = subject.asked(subject.outputs(inputs))
    ones, blank = torch.tensor([1, 2, 0]), torch.zeros_like(inputs)
    assert gradients.chosen(asked.logits(blank), ones).tolist() == [0, 0, 32]
    assert gradients.chosen(subject.logits(blank), ones).tolist() == [0, 0, 32]
    before, after = (asked.probabilities(each)[0, 1].item() for each in (inputs, blank))
    assert before > 0.6 and after == pytest.approx(torch.tensor([0.5, 0, -9]).softmax(0)[1].item())


def test_a_class_without_pixels_is_told_and_left_out() -> None:
    subject, inputs = quarters()
    found, said = explained(subject, inputs, "gradcam", "class 1")
    assert [each.image for each in found] == ["0.png"] and len(said) == 2
    assert said[1] == "2.png: nothing to explain of class class 1: the network gives it no pixel"
    alone, _ = explained(subject, inputs[:1], "gradcam", "class 1")
    np.testing.assert_array_equal(found[0].map, alone[0].map)


@pytest.mark.parametrize("name", DETECTORS)
def test_boxes_have_a_gradient(name: str) -> None:
    """Of the box as torchvision gives it, against a difference of the score; and each method says a map or why not."""
    net = network(name, 64, 1, 3, backbone="resnet20", img_size=64, **DETECTORS[name])
    subject = subject_of(net, 64, 1, 3, scoring=partial(BoxScore, classes=3))
    inputs = noise(2, 1, 64, 64)
    with undisturbed(net):
        asked = subject.asked(subject.outputs(inputs))
        assert asked.score is not None
        targets = asked.score.answers
        boxes = net(inputs).boxes
        assert asked.logits(inputs).amax(1).tolist() == boxes[:, 0, 1].tolist()  # the surest stand first
        assert targets.tolist() == boxes[:, 0, 0].tolist()
        gradient, scores = gradients.of_image(asked, inputs, targets)
    assert (gradient.flatten(1).abs().amax(1) > 0).all() and (scores > 0).all()
    for each, keys in (("gradcam", {}), ("guided_backprop", {}), (BLACK_BOX, {"window": 32, "stride": 32})):
        if (name, each) == ("rcnn", "gradcam"):
            with pytest.raises(InputError, match="maps of parts of 2 images, and none of an image"):
                explained(subject, inputs, each, "predicted")
            continue
        found, said = explained(subject, inputs, each, "predicted", **keys)
        assert not said and len(found) == 2 and all(np.isfinite(one.map).all() for one in found), each
    assert subject.at.startswith("backbone.") or name == "rcnn"


class Finder(nn.Module):
    """Finds what the list says, with scores that are sums of pixels."""

    def __init__(self, found: list[list[tuple[int, float, float, float, float]]]):
        super().__init__()
        self.found, self.scale = found, nn.Parameter(torch.ones(()))

    def forward(self, images: Tensor) -> Detected:
        boxes = images.new_zeros(len(images), 3, 6)
        boxes[..., 0] = -1
        for number, each in enumerate(self.found[: len(images)]):
            for row, (label, left, top, right, bottom) in enumerate(each):
                score = self.scale * images[number, 0, int(top) : int(bottom), int(left) : int(right)].mean()
                boxes[number, row] = torch.stack(
                    [*images.new_tensor([label]), score, *images.new_tensor([left, top, right, bottom])]
                )
        return Detected(lambda targets: images.new_zeros(len(images)), boxes)


def test_the_surest_box_of_a_class_is_its_score() -> None:
    inputs = torch.zeros(2, 1, 8, 8)
    inputs[0, 0, 0:2, 0:2], inputs[0, 0, 4:8, 4:8], inputs[1, 0, 0:2, 0:2] = 0.5, 0.9, 0.4
    net = Finder([[(2, 4, 4, 8, 8), (1, 0, 0, 2, 2), (1, 4, 0, 6, 2)], [(1, 0.4, 0.4, 2, 2)]])
    subject = subject_of(net, 8, 1, 3, scoring=partial(BoxScore, classes=3))
    found, said = explained(subject, inputs, "saliency", "class 1")
    assert not said and [each.probability for each in found] == pytest.approx([0.5, 0.4])
    assert [(each.facts["box"], each.facts["boxes"]) for each in found] == [
        ([0, 0, 2, 2], 2), ([pytest.approx(0.4), pytest.approx(0.4), 2, 2], 1),
    ]  # fmt: skip
    assert [each.answer for each in found] == ["class 2", "class 1"]
    for each in found:
        np.testing.assert_array_equal(each.map > 0, each.part)
        assert each.part is not None and each.part[:2, :2].all() and each.part.sum() == 4
    found, said = explained(subject, inputs, "saliency", "class 2")
    assert [each.image for each in found] == ["0.png"]
    assert said == ["1.png: nothing to explain of class class 2: the network finds no box of it"]


def test_a_box_that_is_gone_has_no_gradient() -> None:
    net = Finder([[]])
    subject = subject_of(net, 8, 1, 3, scoring=partial(BoxScore, classes=3))
    with undisturbed(net):
        gradient, scores = gradients.of_image(subject, images(1, 8, 1), torch.tensor([1]))
    assert not gradient.any() and not scores.any()


class Rimmed(nn.Module):
    """Sees 40 pixels around an image, as the fully convolutional VGGs see 100."""

    rim = 40

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 1, 3, padding=self.rim)
        self.body = nn.Sequential(self.first, nn.MaxPool2d(2, ceil_mode=True), nn.MaxPool2d(2, ceil_mode=True))

    def forward(self, images: Tensor) -> Tensor:
        return self.body(images).mean((2, 3))


@pytest.mark.parametrize(("row", "column"), [(10, 50), (41, 21)])
def test_maps_of_an_image_with_a_rim_lie_where_the_network_sees_them(row: int, column: int) -> None:
    subject, inputs = subject_of(Rimmed().eval(), 62, 1, 1), torch.zeros(1, 1, 62, 62)
    nn.init.ones_(subject.network.first.weight)
    inputs[..., row, column] = 9.0
    for layer, stride in (("first", 1), ("body.1", 2), ("body.2", 4)):
        with torch.no_grad():
            found = fields.laid(subject, layer, subject.activations(inputs, layer)[:, 0], (62, 62))[0]
        middle = (found == found.max()).nonzero().float().mean(0)
        assert (middle - torch.tensor([row, column])).abs().max() <= stride / 2, layer
    assert FcnVgg16.rim == 100 and FcnVgg16.map_names[-1] == "features.30"
