"""`cnntrain summary`: its tables, totals and drawings, without data, weights or a network."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from composing import composed

from cnntrain.build import weights
from cnntrain.commands.summary import COLUMNS, Summary
from cnntrain.config.check import check
from cnntrain.core.errors import ConfigError, InputError
from cnntrain.models import create
from cnntrain.study.anatomy.network import Network

Show = Callable[..., str]


def settings(*overrides: str) -> Summary:
    return check(composed(overrides, "summary"), Summary)


@pytest.fixture
def show(perform: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> Show:
    """What the command shows; it may not look for weights or data."""

    def refuse(*args: Any) -> None:
        raise AssertionError("a summary loads nothing")

    monkeypatch.setattr(create, "available", refuse)
    monkeypatch.setattr(weights, "read", refuse)

    return lambda *overrides: perform(settings(*overrides))


def facts(show: Show, *overrides: str) -> dict[str, Any]:
    return json.loads(show(*overrides, "format=json"))


# name of the layer: values of its output, weights without biases; the notes of Stanford's CS231n
VGG16 = """
conv3-64 224*224*64 3*3*3*64 | conv3-64 224*224*64 3*3*64*64 | pool2 112*112*64 0
conv3-128 112*112*128 3*3*64*128 | conv3-128 112*112*128 3*3*128*128 | pool2 56*56*128 0
conv3-256 56*56*256 3*3*128*256 | conv3-256 56*56*256 3*3*256*256 | conv3-256 56*56*256 3*3*256*256 | pool2 28*28*256 0
conv3-512 28*28*512 3*3*256*512 | conv3-512 28*28*512 3*3*512*512 | conv3-512 28*28*512 3*3*512*512 | pool2 14*14*512 0
conv3-512 14*14*512 3*3*512*512 | conv3-512 14*14*512 3*3*512*512 | conv3-512 14*14*512 3*3*512*512 | pool2 7*7*512 0
fc 4096 7*7*512*4096 | fc 4096 4096*4096 | fc 1000 4096*1000
"""


def product(text: str) -> int:
    result = 1
    for factor in text.split("*"):
        result *= int(factor)
    return result


def test_vgg16_is_the_table_of_the_lectures(show: Show) -> None:
    shown = facts(show, "model=vgg16")
    rows = [row for row in shown["layers"] if row["type"] in ("Conv2d", "MaxPool2d", "Linear")]
    expected = [line.split() for line in VGG16.replace("\n", "|").split("|") if line.strip()]
    assert len(rows) == len(expected) == 21
    for row, (kind, values, weight) in zip(rows, expected, strict=True):
        biases = row["output"][0] if row["params"] else 0
        assert (row["values"], row["params"] - biases) == (product(values), product(weight)), (kind, row)
        assert (kind == "pool2") == (row["type"] == "MaxPool2d")
    pool5 = rows[17]
    assert (pool5["receptive_field"], pool5["jump"]) == ([212, 212], [32, 32])
    totals = shown["totals"]
    assert totals["params"] == totals["trainable_params"] == 138_357_544
    assert totals["macs"] == 15_470_264_320
    assert totals["activation_values"] - 4096 == 15_087_080  # 4096: timm's head pools a map of one pixel
    assert shown["warnings"] == {} and totals["unused_params"] == 0
    assert (shown["input"], shown["classes"]) == ([3, 224, 224], 1000)


def test_the_policy_decides_what_is_trained(show: Show) -> None:
    probe = facts(show, "model=resnet18", "data=cifar10", "transfer=linear_probe")
    rows = {row["name"]: row for row in probe["layers"]}
    assert rows["fc"]["trainable_params"] == rows["fc"]["params"] == 5130 == probe["totals"]["trainable_params"]
    assert [row["name"] for row in probe["layers"] if row["trainable_params"]] == ["fc"]
    assert rows["conv1"]["kernel"] == [7, 7]  # a policy implies pretrained weights, and they fit this stem alone
    table = show("model=resnet18", "data=cifar10", "transfer=linear_probe").splitlines()
    states = {line.split()[0]: line for line in table if line.startswith(("conv1 ", "fc ", "act1 "))}
    assert "frozen" in states["conv1"] and "trained" in states["fc"]
    assert "trained" not in states["act1"] and "frozen" not in states["act1"]
    partly = facts(show, "model=resnet18", "transfer=freeze_depth", "transfer.depth=2")
    trained = {row["name"].split(".")[0] for row in partly["layers"] if row["trainable_params"]}
    assert trained == {"layer2", "layer3", "layer4", "fc"}


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ("gradual", "what is trained, and the memory, are the first epoch's"),
        ("head_then_full", "what is trained, and the memory, are the first epoch's"),
        ("probe_depths", "a run's own classifiers are not in this summary"),
        ("linear_probe", None),
    ],
)
def test_what_a_summary_cannot_show_of_a_policy_is_said(show: Show, policy: str, said: str | None) -> None:
    out = show("model=resnet20", "data=fake", f"transfer={policy}")
    assert (f"warning: transfer={policy}: {said}" in out) if said else ("warning: transfer" not in out)


def test_data_gives_size_channels_and_classes(show: Show) -> None:
    shown = facts(show, "model=resnet18", "data=cifar100")
    assert (shown["input"], shown["classes"], shown["totals"]["training_memory"]["batch_size"]) == (
        [3, 32, 32],
        100,
        128,
    )
    assert shown["layers"][0]["kernel"] == [3, 3], "the stem for small images, as in training"
    shown = facts(show, "model=resnet18", "data=mnist", "data.image_size=48", "batch_size=4", "classes=3")
    assert (shown["input"], shown["classes"], shown["totals"]["training_memory"]["batch_size"]) == ([1, 48, 48], 3, 4)
    assert facts(show, "data=fake", "data.num_classes=7")["classes"] == 7
    shown = facts(show, "model=resnet18", "data=imagefolder", "data.root=nowhere")
    assert (shown["input"], shown["classes"]) == ([3, 224, 224], 1000)
    assert facts(show)["input"] == [1, 32, 32]


def test_auxiliary_heads_are_trained_but_not_passed(show: Show) -> None:
    plain, auxiliary = (facts(show, "model=googlenet", f"model.args.aux_logits={each}") for each in ("false", "true"))
    assert auxiliary["layers"] == plain["layers"] and auxiliary["totals"]["macs"] == plain["totals"]["macs"]
    assert auxiliary["totals"]["params"] == plain["totals"]["params"] == 6_998_552
    counted = [each["totals"][f"{key}_params"] for each in (plain, auxiliary) for key in ("auxiliary", "unused")]
    assert counted == [0, 0, 13_378_280 - 6_998_552, 0]
    text = show("model=googlenet", "model.args.aux_logits=true")
    assert "auxiliary heads, in training only: 6,379,728 parameters more" in text
    needed = [each["totals"]["training_memory"]["activations"] for each in (plain, auxiliary)]
    assert needed[0] < needed[1]


def test_training_memory_by_hand(show: Show) -> None:
    memory = facts(show, "model=lenet5", "batch_size=1")["totals"]["training_memory"]
    assert memory["weights"] == memory["gradients"] == memory["momentum"] == 4 * 61_706
    # the image; what tanh, pools and linear layers need: tanh's outputs, which pools and linears read, and pools'
    outputs = 6 * 28**2 + 6 * 14**2 + 16 * 10**2 + 16 * 5**2 + 120 + 84
    assert memory["activations"] == 4 * (32**2 + outputs)
    assert memory["total"] == sum(memory[key] for key in ("weights", "gradients", "momentum", "activations"))
    frozen = facts(show, "model=lenet5", "batch_size=1", "transfer=linear_probe")["totals"]["training_memory"]
    assert frozen["gradients"] == 4 * 850 and frozen["activations"] == 4 * (32**2 + 84)


def test_strides_that_do_not_fit_are_named(show: Show) -> None:
    text = show("model=resnet18")
    assert "warning: conv1: (224 - 7 + 2*3) / 2 + 1 = 112.5 is rounded down to 112" in text
    assert "warning: layer2.0.downsample.0: (56 - 1 + 2*0) / 2 + 1 = 28.5" in text
    assert "warning" not in show("model=alexnet")
    assert "conv1.conv" in facts(show, "model=alexnet", "data=fake", "data.image_size=224")["warnings"]


def test_markdown_has_the_rows_of_the_table(show: Show) -> None:
    lines = show("model=lenet5", "format=markdown").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    assert {len(row) for row in rows} == {len(COLUMNS)}
    assert rows[2][:6] == ["conv1.0", "Conv2d", "6x28x28", "5x5/1", "32x32", "156"]
    assert "- parameters: 61,706 (241.0 KiB)" in lines


def labels(text: str) -> list[list[str]]:
    """The lines of each box in a graph for Graphviz."""
    found = re.findall(r'^  n\w+ \[label=("(?:[^"\\]|\\.)*")', text, re.MULTILINE)
    return [json.loads(each).splitlines() for each in found]


def test_dot_draws_a_residual_network_box_by_box(show: Show) -> None:
    text = show("model=resnet20", "format=dot")
    drawn = labels(text)
    assert drawn[:3] == [
        ["input", "3x32x32"],
        ["stem.conv", "Conv2d 3x3/1", "BatchNorm2d", "ReLU", "16x32x32", "464 parameters"],
        ["stage1.0.conv1", "Conv2d 3x3/1", "BatchNorm2d", "ReLU", "16x32x32", "2,336 parameters"],
    ]
    assert drawn[-1] == ["classifier", "Linear", "10", "650 parameters"]
    shown = facts(show, "model=resnet20")
    kinds = sorted(row["type"] for row in shown["layers"])
    assert sorted(line.split()[0] for box in drawn for line in box if line.split()[0] in set(kinds)) == kinds
    assert text.count("->") == len(drawn) - 1 + 9  # a chain, and past each of 9 blocks its shortcut
    if shutil.which("dot") is None:
        pytest.skip("Graphviz is not installed")
    plain = subprocess.run(["dot", "-Tplain"], input=text, capture_output=True, text=True, check=True)
    assert plain.stdout.count("\nnode ") == len(drawn) and not plain.stderr


def test_a_drawing_says_what_is_frozen(show: Show) -> None:
    text = show("model=resnet20", "format=dot", "transfer=linear_probe")
    assert "dashed: frozen" in text and "dashed" not in show("model=resnet20", "format=dot")
    frozen = [box[0] for box in labels(text) if box[-1].endswith("parameters, frozen")]
    assert text.count('"filled,dashed"') == len(frozen) == 19
    assert labels(text)[-1][-1] == "650 parameters"


@pytest.mark.no_cover
def test_concatenations_are_drawn_step_by_step(show: Show) -> None:
    """Each of DenseNet-121's 58 layers reads all before it in its block, and is drawn with one arrow past it."""
    shown, text = facts(show, "model=densenet121"), show("model=densenet121", "format=dot")
    read = [len(row["inputs"]) for row in shown["layers"] if row["type"] == "cat"]
    assert read == [count for layers in (6, 12, 24, 16) for count in range(1, layers + 2)]
    assert text.count("->") == len(labels(text)) - 1 + 58


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
def test_png(show: Show, tmp_path: Path) -> None:
    path = tmp_path / "lenet5.png"
    assert show("format=png", f"output={path}") == f"{path}\n"
    assert path.read_bytes().startswith(b"\x89PNG")


def test_png_without_graphviz_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the network is made."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delattr("cnntrain.study.anatomy.network.Network")
    with pytest.raises(InputError, match="apt install graphviz"):
        settings("format=png", f"output={tmp_path / 'a.png'}").execute([])
    assert list(tmp_path.iterdir()) == []


def test_output_goes_to_a_file(show: Show, tmp_path: Path) -> None:
    path = tmp_path / "lenet5.json"
    assert show("format=json", f"output={path}") == f"{path}\n"
    assert json.loads(path.read_text())["model"] == "lenet5"
    with pytest.raises(InputError, match="there is no folder"):
        settings(f"output={tmp_path / 'none' / 'a.txt'}").execute([])


def test_tensorboard_has_the_graph(show: Show, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    show("model=resnet20", f"tensorboard={tmp_path}")
    events = EventAccumulator(str(tmp_path)).Reload()
    assert events.Tags()["graph"]
    nodes = [node.name for node in events.Graph().node if node.op == "aten::_convolution"]
    assert len(nodes) == 19
    for path in ("Sequential[stem]/Conv2d[conv]", "Blocks[stage3]/BasicBlock[2]/Conv2d[conv2]"):
        assert sum(name.startswith(f"CifarResNet/{path}/") for name in nodes) == 1


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["model=inception_v3", "data=cifar10"], r"data\.image_size=75 works"),
        (["model=resnet18", "data=cifar10", "model.stem=imagenet", "batch_size=1"], "batch_size=1 cannot be trained"),
        (["transfer=freeze_depth", "transfer.depth=99"], "depth goes from"),
        (["classes=0"], "classes=0 must be an integer at least 1 or null"),
        (["batch_size=0"], "batch_size=0 must be an integer at least 1 or null"),
        (["format=png"], "format=png needs output=<file>"),
        (["format=pgn"], "did you mean 'png'"),
        (["clases=3"], "did you mean 'classes'"),
        (["data.channels=1"], "missing key 'data.name'"),
        (["data=cifar10", "data.channels=2"], "channels must be 1 or 3"),
    ],
)
def test_wrong_settings(overrides: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        settings(*overrides).execute([])


def test_what_has_no_known_field_says_so(show: Show) -> None:
    line = next(line for line in show("model=convnext_femto").splitlines() if line.startswith("head.fc "))
    assert line.endswith("unknown")


def test_nothing_is_left_on_a_device(show: Show) -> None:
    show("model=vgg16")
    assert not torch.cuda.is_initialized()
    config = settings("model=vgg16")
    network = Network(config.model, config.data, config.transfer, config.classes, config.batch_size)
    assert {each.device.type for each in network.model.parameters()} == {"meta"}


def test_both_networks_of_a_gan_are_shown(show: Show) -> None:
    shown = facts(show, "model=dcgan", "model.args.width=8")
    rows = shown["layers"]
    names = [row["name"] for row in rows]
    assert names.index("discriminator.0.conv") == sum(name.startswith("generator.") for name in names) == 14
    assert shown["totals"]["unused_params"] == 0
    assert (rows[0]["inputs"], rows[0]["output"], rows[13]["output"]) == ([], [64, 4, 4], [3, 64, 64])
    assert {tuple(row["receptive_field"]) for row in rows[:14]} == {(1, 1)}  # all numbers that an image is made of
    assert (rows[14]["inputs"], rows[-1]["receptive_field"]) == ([-1], [94, 94])


def test_regions_are_rows_of_their_own(show: Show) -> None:
    kinds = {}
    for name in ("rcnn", "fast_rcnn", "faster_rcnn"):
        rows = {row["type"]: row for row in facts(show, f"model={name}", "model.backbone=resnet20")["layers"]}
        assert "new_empty" not in rows
        kinds[name] = [rows[kind]["output"] for kind in ("roi_align", "RoIPool") if kind in rows]
    assert kinds == {"rcnn": [[3, 32, 32]], "fast_rcnn": [[64, 7, 7]], "faster_rcnn": [[256, 7, 7]]}
