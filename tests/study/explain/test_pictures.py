"""Pictures of networks are of what the networks hold: maps, weights and patches as torch gives them, ascents that
ascend."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from looking import images, network, subject_of
from slow import slow_if
from torch import Tensor, nn

from cnntrain.config.methods import method
from cnntrain.core.errors import ConfigError, InputError
from cnntrain.models import layers
from cnntrain.study.explain import ascent, cloud, patches, tiles
from cnntrain.study.explain.base import Picture
from cnntrain.study.explain.hooks import undisturbed
from cnntrain.study.explain.subject import Shown, Subject


def shown(inputs: Tensor, labels: list[str] | None = None, at_once: int = 4) -> Shown:
    """Images that are in no files."""

    def batches() -> Iterator[tuple[list[int], Tensor]]:
        for start in range(0, len(inputs), at_once):
            some = inputs[start : start + at_once]
            yield list(range(start, start + len(some))), some

    names = [f"{number}.png" for number in range(len(inputs))]
    return Shown(names, labels or [""] * len(inputs), batches, lambda position: inputs[position])


def drawn(name: str, subject: Subject, given: Shown, **keys: Any) -> list[Picture]:
    with undisturbed(subject.network):
        return list(method(name, keys).pictures(subject, given))  # type: ignore[attr-defined]


class Small(nn.Module):
    """Convolutions without padding, then a pooling and a line: positions see exactly what their numbers say."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 6, 5, stride=2), nn.ReLU(inplace=True), nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(inplace=True)
        )
        self.fc = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.body(x).mean((2, 3)))


@pytest.fixture
def small() -> Small:
    torch.manual_seed(0)
    return Small().eval()


def test_feature_maps_are_what_each_stage_gives() -> None:
    net, inputs = network("resnet20", 32), images(2, 32)
    subject = subject_of(net, 32)
    found = drawn("feature_maps", subject, shown(inputs), channels=8)
    stages = layers.stages(net)
    assert len(found) == 2 * len(stages) and len(stages) > 1
    expected = net.forward_intermediates(inputs, intermediates_only=True)
    for number, each in enumerate(found):
        image, stage = divmod(number, len(stages))
        maps = expected[stage][image].detach().numpy()
        assert each.facts["layer"] == stages[stage] and each.facts["channels"] == len(maps)
        assert np.array_equal(each.arrays["maps"], maps[each.arrays["channels"]])
        least = maps.std((1, 2))[each.arrays["channels"]].min()
        assert (maps.std((1, 2)) > least).sum() < 8  # those that vary most
    (one, _) = drawn("feature_maps", subject_of(net, 32, layer="stem"), shown(inputs), channels=99)
    assert np.array_equal(one.arrays["maps"], net.stem(inputs)[0].detach().numpy())


def test_a_layer_without_maps_is_refused() -> None:
    subject = subject_of(network("lenet5", 32), 32, layer="hidden")
    with pytest.raises(InputError, match="gives no maps"):
        drawn("feature_maps", subject, shown(images(1, 32)))


def test_filters_are_the_weights(small: Small) -> None:
    first, second = drawn("filters", subject_of(small, 16, classes=4), shown(images(0, 16)), filters=5, channels=4)
    assert np.array_equal(first.arrays["filters"], small.body[0].weight[:5].detach().numpy())
    assert np.array_equal(second.arrays["filters"], small.body[2].weight[:5, :4].detach().numpy())
    assert first.facts["in_colour"] and not second.facts["in_colour"]
    (inside,) = drawn("filters", subject_of(small, 16, classes=4, layer="body.2"), shown(images(0, 16)))
    assert inside.facts["layer"] == "body.2"
    with pytest.raises(InputError, match="no convolution"):
        drawn("filters", subject_of(small, 16, classes=4, layer="fc"), shown(images(0, 16)))


def test_a_filters_range_is_its_own_and_0_is_in_the_middle() -> None:
    weights = np.array([[-2.0, 0, 1], [0, 0, 0]])
    assert tiles.signed(weights).tolist() == [[0, 0.5, 0.75], [0.5, 0.5, 0.5]]
    assert tiles.spread(weights + 3).tolist() == [[0, 2 / 3, 1], [0, 0, 0]]


def test_tiles_stand_row_by_row_with_what_is_framed() -> None:
    red, blue = np.zeros((2, 2, 3)), np.zeros((1, 4, 3), np.uint8)
    red[..., 0], blue[..., 2] = 1, 255
    found = tiles.figure([red, blue, red], ["a", "", "b\nc"], 2, "title", 0.5, {1: (0, 1, 1, 3)})
    (axes,) = found.axes
    whole = axes.images[0].get_array()
    assert [each.get_text() for each in axes.texts] == ["a", "b\nc"] and len(axes.patches) == 1
    side = round(0.5 * tiles.DPI)
    shares = [(whole == colour).all(2).sum() / side**2 for colour in ((255, 0, 0), (0, 0, 255))]
    assert shares == pytest.approx([2, 0.25], abs=0.02)  # the second is wide, and keeps its shape
    middle = whole.shape[1] // 2
    assert (whole[:, middle:] == (255, 0, 0)).all(2).sum() == 0


def test_an_ascent_ascends_and_is_the_same_for_a_seed() -> None:
    subject = subject_of(network("resnet20", 32), 32)
    keys = {"classes": ["class 3", "class 7"], "steps": 10, "jitter": 2, "variation": 0.0}
    (one,) = drawn("maximise", subject, shown(images(0, 32)), **keys)
    (two,) = drawn("maximise", subject, shown(images(0, 32)), **keys)
    assert np.array_equal(one.arrays["images"], two.arrays["images"])
    assert one.arrays["images"].shape == (2, 3, 32, 32) and not np.array_equal(*one.arrays["images"])
    for row, pixels in zip(one.facts["images"], one.arrays["images"], strict=True):
        assert row["at_end"] > row["at_start"] + 0.1
        seen = (torch.from_numpy(pixels)[None] - 0.5) / 0.25
        assert subject.logits(seen)[0, int(row["of"][-1])].item() == pytest.approx(row["at_end"], abs=1e-4)
    (other,) = drawn("maximise", replace(subject, seed=1), shown(images(0, 32)), **keys)
    assert not np.array_equal(one.arrays["images"], other.arrays["images"])
    (calm,) = drawn("maximise", subject, shown(images(0, 32)), **{**keys, "variation": 10.0})
    rough, smooth = (ascent.variation(torch.from_numpy(each.arrays["images"])) for each in (one, calm))
    assert (smooth < 0.7 * rough).all()


def test_a_unit_of_a_linear_map_becomes_its_filter(small: Small) -> None:
    """Of a convolution over the whole image the best image is the filter itself, as far as pixels go."""
    net = nn.Sequential(nn.Conv2d(3, 2, 8), nn.Flatten()).eval()
    subject = subject_of(net, 8, classes=2, layer="0")
    keys = {"units": [1], "steps": 200, "jitter": 0, "blur_every": 0, "variation": 0, "rate": 0.1}
    (found,) = drawn("maximise", subject, shown(images(0, 8)), **keys)
    weights = net[0].weight[1].detach().numpy()
    large = np.abs(weights) > 0.3 * np.abs(weights).max()
    assert np.array_equal(found.arrays["images"][0][large] > 0.5, weights[large] > 0)


def test_variation_is_of_neighbours_that_differ() -> None:
    flat, edge, noise = torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4), images(1, 4)
    edge[..., 2:] = 1
    assert ascent.variation(flat).item() == 0 and ascent.variation(edge).item() == 3 * 4 / 8
    assert ascent.variation(noise) > ascent.variation(edge)


@pytest.mark.parametrize(
    ("layer", "keys", "words"),
    [
        (None, {"classes": ["class 33"]}, "did you mean 'class 3'"),
        (None, {"units": [1]}, "give layer=<name>"),
        ("stage3", {"units": [1, 99]}, "units 0 to 63, not 99"),
        ("stage3", {"classes": ["class 1"]}, "leave layer out"),
    ],
)
def test_classes_and_units_that_are_not_there(layer: str | None, keys: dict[str, Any], words: str) -> None:
    subject = subject_of(network("resnet20", 32), 32, layer=layer)
    with pytest.raises(ConfigError, match=words):
        drawn("maximise", subject, shown(images(0, 32)), **keys)


@pytest.mark.parametrize("name", slow_if(("vgg11", "densenet40"), ("resnet20", "vgg11", "densenet40")))
def test_a_units_activation_on_the_patch_alone_is_that_in_the_image(name: str) -> None:
    """Exactly, wherever no padding is inside: the field is not too small."""
    net = network(name, 48)
    stages = layers.stages(net)
    subject, given = subject_of(net, 48, layer=stages[1]), shown(images(6, 48))
    rows = [row for each in drawn("top_patches", subject, given, units=[0, 3, 5]) for row in each.facts["patches"]]
    inside = [row for row in rows if not row["padded"]]
    assert inside and all(row["activation"] == row["activation_alone"] for row in inside)
    maps = subject.activations(torch.stack([given.picture(n) for n in range(6)]))
    for each in drawn("top_patches", subject, given, units=[3]):
        values = [row["activation"] for row in each.facts["patches"]]
        assert np.allclose(values, sorted(maps[:, 3].amax((1, 2)).tolist(), reverse=True)[:9], atol=1e-5)


def test_a_patch_is_no_larger_than_it_must_be(small: Small) -> None:
    """Cut out, without anything around it, it gives the same; a pixel less does not."""
    inputs = images(5, 33)
    subject = subject_of(small, 33, classes=4, layer="body.0")
    (found,) = drawn("top_patches", subject, shown(inputs), units=[2], patches=3)
    for row in found.facts["patches"]:
        top, bottom, left, right = row["box"]
        assert (bottom - top, right - left) == (5, 5) and not row["padded"]
        image = inputs[int(row["image"].removesuffix(".png"))]
        patch = image[None, :, top:bottom, left:right]
        assert small.body[0](patch)[0, 2, 0, 0].item() == pytest.approx(row["activation"], rel=1e-6)
        fewer = patch.clone()
        fewer[..., 0] = 0
        assert small.body[0](fewer)[0, 2, 0, 0].item() != pytest.approx(row["activation"], rel=1e-3)


def test_fields_with_padding_inside_say_so(small: Small) -> None:
    subject = subject_of(small, 33, classes=4, layer="body.2")
    field = patches.field_of(subject, "body.2")
    assert field is not None and field.rows.size == 9 and field.rows.jump == 2
    assert patches.box(field, (0, 3), 33) == patches.Box(0, 7, 4, 13, True)
    assert patches.box(field, (1, 3), 33) == patches.Box(0, 9, 4, 13, False)


@pytest.fixture
def two_kinds() -> tuple[Tensor, list[str]]:
    """Dark and bright noise, and whose class each is."""
    noise = 0.2 * images(16, 32)
    noise[:8] -= 1
    noise[8:] += 1
    return noise, ["class 0"] * 8 + ["class 1"] * 8


@pytest.mark.parametrize("by", ["pca", "tsne"])
def test_embeddings_are_the_features_and_what_is_alike_lies_together(
    by: str, two_kinds: tuple[Tensor, list[str]]
) -> None:
    inputs, labels = two_kinds
    net = network("resnet20", 32)
    plane, near = drawn("embeddings", subject_of(net, 32), shown(inputs, labels), by=by, queries=2, neighbours=3)
    expected = net.forward_head(net.forward_features(inputs), pre_logits=True).detach().numpy()
    assert np.allclose(plane.arrays["features"], expected, atol=1e-5)
    assert plane.cloud is not None and plane.cloud.features.shape == expected.shape
    assert plane.cloud.thumbnails.shape == (16, 48, 48, 3) and plane.cloud.labels == labels
    first, second = plane.arrays["places"][:8].mean(0), plane.arrays["places"][8:].mean(0)
    spread = plane.arrays["places"][:8].std(0).max()
    assert np.linalg.norm(first - second) > 2 * spread
    assert plane.facts["neighbours_accuracy"] == 1.0
    assert [row["image"] for row in near.facts["queries"]] == ["0.png", "15.png"]
    if by == "pca":
        centred = expected - expected.mean(0)
        values = np.linalg.svd(centred, compute_uv=False) ** 2
        assert np.allclose(plane.facts["explained_variance"], values[:2] / values.sum(), rtol=1e-3)


def test_a_class_of_one_image_has_no_others_to_vote_for_it(two_kinds: tuple[Tensor, list[str]]) -> None:
    inputs, labels = two_kinds
    subject = subject_of(network("resnet20", 32), 32)
    alone = [*labels[:8], *(f"class {each}" for each in range(1, 9))]
    (plane,) = drawn("embeddings", subject, shown(inputs, alone), by="pca", queries=0)
    assert (plane.facts["neighbours_accuracy"], plane.facts["neighbours_of"]) == (1.0, 8)
    (plane,) = drawn("embeddings", subject, shown(inputs[:8], alone[7:15]), by="pca", queries=0)
    assert "neighbours_accuracy" not in plane.facts


def test_umap_is_asked_for_where_it_is_missing(
    monkeypatch: pytest.MonkeyPatch, two_kinds: tuple[Tensor, list[str]]
) -> None:
    monkeypatch.setitem(sys.modules, "umap", None)
    subject = subject_of(network("resnet20", 32), 32)
    with pytest.raises(ConfigError, match=r"pip install \"cnntrain\[explain\]\""):
        drawn("embeddings", subject, shown(two_kinds[0]), by="umap")


def test_too_few_images_are_refused() -> None:
    with pytest.raises(InputError, match="needs 4 images"):
        drawn("embeddings", subject_of(network("lenet5", 32), 32), shown(images(3, 32)))
    assert cloud.LEAST == 4


def test_class_means_are_means_of_what_is_seen(two_kinds: tuple[Tensor, list[str]]) -> None:
    inputs, labels = two_kinds
    subject = subject_of(network("lenet5", 32), 32)
    (found,) = drawn("class_means", subject, shown(inputs, labels))
    means = torch.stack([inputs[:8].mean(0), inputs[8:].mean(0)])
    assert np.allclose(found.arrays["means"], subject.seen.undo(means).numpy(), atol=1e-6)
    answers = subject.probabilities(means).argmax(1).tolist()
    assert [row["answer"] for row in found.facts["classes"]] == [subject.classes[each] for each in answers]
    assert [row["images"] for row in found.facts["classes"]] == [8, 8]
    (other,) = drawn("class_means", subject, shown(inputs, ["no class of it"] * 16))  # then by the answers
    everything = subject.probabilities(inputs).argmax(1)
    assert sum(row["images"] for row in other.facts["classes"]) == 16
    assert len(other.facts["classes"]) == len(set(everything.tolist()))


def test_the_network_is_left_as_it_was() -> None:
    net = network("resnet20", 32)
    net.train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    keys: dict[str, dict[str, Any]] = {
        "maximise": {"steps": 2, "classes": ["class 1"]}, "embeddings": {"by": "pca", "queries": 0},
        "filters": {"filters": 2, "channels": 2}, "feature_maps": {"channels": 2}, "top_patches": {"units": [0]},
    }  # fmt: skip
    for name in ("feature_maps", "filters", "maximise", "top_patches", "embeddings", "class_means"):
        assert drawn(name, subject_of(net, 32), shown(images(5, 32)), **keys.get(name, {}))
    assert net.training and all(each.requires_grad for each in net.parameters())
    assert not any(each._forward_hooks or each._forward_pre_hooks for each in net.modules())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_points_for_the_projector_come_beside_those_that_are_there(tmp_path: Path) -> None:
    from cnntrain.runs.trackers.tensorboard import PROJECTOR, TensorBoard

    features = np.arange(8, dtype=np.float32).reshape(4, 2)
    about = {"image": ["a\tb", "c", "d", "e"], "label": list("wxyz")}
    for name in ("first", "second"):
        board = TensorBoard(tmp_path, 0)
        board.points(name, features, about, np.zeros((4, 8, 8, 3), np.uint8))
        board.close()
    config = (tmp_path / PROJECTOR).read_text()
    assert config.count("embeddings {") == 2 and "first" in config and "second" in config
    lines = (tmp_path / "00000" / "second" / "metadata.tsv").read_text().splitlines()
    assert lines[0] == "image\tlabel" and lines[1] == "a\\tb\tw"
    values = np.loadtxt(tmp_path / "00000" / "second" / "tensors.tsv", delimiter="\t")
    assert np.array_equal(values, features)
