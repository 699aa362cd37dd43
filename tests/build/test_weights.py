"""Weights from files and from a hub cache: what fits is loaded to the bit, what does not is listed."""

from __future__ import annotations

import json
import pickle
import re
import socket
import time
import urllib.request
from argparse import Namespace
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

import huggingface_hub.constants as hub
import pytest
import timm
import torch
from composing import composed
from contents import content
from safetensors.torch import save_file
from torch import nn

from cnntrain import cli
from cnntrain.build import weights
from cnntrain.build.run import build
from cnntrain.config.check import check
from cnntrain.config.model import Model
from cnntrain.config.schema import TrainConfig
from cnntrain.core.errors import ConfigError, InputError
from cnntrain.core.network import unreachable
from cnntrain.data.batches.preprocess import Preprocess
from cnntrain.models.create import create
from cnntrain.models.pretrained import published_preprocessing
from cnntrain.runs import checkpoint

CLASSES = ["one", "two"]  # of the data; files of other tools do not say what their head tells apart
TINY = "test_resnet"  # of timm: 0.5 M parameters, with weights on the hub


def tiny(classes: int = 1000, seed: int = 5) -> nn.Module:
    torch.manual_seed(seed)
    return timm.create_model(TINY, num_classes=classes)


def same(model: nn.Module, state: dict[str, torch.Tensor], but: tuple[str, ...] = ()) -> bool:
    own = model.state_dict()
    return all(torch.equal(own[key], value) for key, value in state.items() if not key.startswith(but or "?"))


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError("Network is unreachable")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def is_new(model: nn.Module) -> bool:
    """Whether the head is as `new_head` draws it."""
    weight, bias = model.state_dict()["fc.weight"], model.state_dict()["fc.bias"]
    return 0.008 < float(weight.std()) < 0.012 and not bias.any()


def save(kind: str, state: dict[str, torch.Tensor], folder: Path) -> Path:
    path = folder / ("w.safetensors" if kind == "safetensors" else "w.pth")
    if kind == "safetensors":
        save_file(state, path)
    else:
        torch.save({"state_dict": state, "epoch": 3} if kind == "wrapped" else state, path)
    return path


@pytest.mark.parametrize("kind", ["safetensors", "state dict", "wrapped"])
def test_a_file_is_loaded_to_the_bit(kind: str, tmp_path: Path) -> None:
    source, model = tiny(seed=1), tiny(seed=2)
    loaded = weights.read(save(kind, source.state_dict(), tmp_path))
    assert loaded.preprocess is None and loaded.small_stem is None
    weights.load(model, loaded, CLASSES)
    assert same(model, source.state_dict())


@pytest.mark.parametrize("kind", ["safetensors", "state dict"])
def test_a_head_of_other_classes_is_replaced_whole(kind: str, tmp_path: Path) -> None:
    source, model = tiny(seed=1), tiny(classes=7, seed=2)
    assert not is_new(model)
    weights.load(model, weights.read(save(kind, source.state_dict(), tmp_path)), CLASSES)
    assert same(model, source.state_dict(), but=("fc.",))
    assert is_new(model)


@pytest.mark.parametrize(("classes", "kept"), [(CLASSES, True), (["two", "three"], False), (None, True)])
def test_a_head_of_as_many_other_classes_is_not_loaded(classes: list[str] | None, kept: bool) -> None:
    source, model = tiny(classes=2, seed=1), tiny(classes=2, seed=2)
    weights.load(model, weights.Source(Path("x.ckpt"), source.state_dict(), classes=classes), CLASSES)
    assert same(model, source.state_dict(), but=("fc.",))
    assert same(model, source.state_dict()) == kept
    assert is_new(model) != kept


def test_a_head_whose_bias_is_missing_is_replaced_whole(tmp_path: Path) -> None:
    source, model = tiny(seed=1).state_dict(), tiny(seed=2)
    del source["fc.bias"]
    weights.load(model, weights.read(save("state dict", source, tmp_path)), CLASSES)
    assert same(model, source, but=("fc.",))
    assert is_new(model)


def test_a_file_without_a_head_is_enough(tmp_path: Path) -> None:
    source = {key: value for key, value in tiny(seed=1).state_dict().items() if not key.startswith("fc.")}
    model = tiny(seed=2)
    weights.load(model, weights.read(save("safetensors", source, tmp_path)), CLASSES)
    assert same(model, source)
    assert is_new(model)


def test_a_head_of_another_kind_is_left_out(tmp_path: Path) -> None:
    """As of a classifier whose trunk is a segmenter's."""
    source, model = tiny(seed=1).state_dict(), tiny(seed=2)
    source = {key: value for key, value in source.items() if not key.startswith("fc.")} | {"fc.1.weight": torch.ones(2)}
    weights.load(model, weights.read(save("state dict", source, tmp_path)), CLASSES)
    assert is_new(model) and same(model, {key: each for key, each in source.items() if key != "fc.1.weight"}, ("fc.",))


def test_a_new_head_is_a_function_of_the_seed_and_a_net_from_scratch_has_its_own(
    make_run: Callable[..., Any], tmp_path: Path
) -> None:
    save("state dict", tiny(seed=1).state_dict(), tmp_path)
    words = (f"model={TINY}", "data.image_size=32", "data.val_size=2")

    def head(*more: str) -> torch.Tensor:
        model = make_run(*words, *more).model
        assert is_new(model) == bool(more)
        return model.get_classifier().weight.detach()

    loads = f"model.weights={tmp_path / 'w.pth'}"
    first = head(loads)
    assert torch.equal(first, head(loads)) and not torch.equal(first, head(loads, "seed=1"))
    head()


def test_every_mismatch_is_listed_and_nothing_is_loaded(tmp_path: Path) -> None:
    source, model = tiny(seed=1).state_dict(), tiny(seed=2)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    first, second, third = [key for key in source if key.endswith("conv1.weight")][:3]
    del source[first]
    source["module.extra"] = torch.zeros(1)
    source[second] = torch.zeros(2, 3)
    source["note"] = "a string"  # type: ignore[assignment]
    path = save("state dict", source, tmp_path)
    with pytest.raises(InputError) as caught:
        weights.load(model, weights.read(path), CLASSES)
    lines = str(caught.value).splitlines()
    assert lines[0] == f"model.weights={path} does not match ResNet:"
    assert set(lines[1:]) == {
        "  module.extra is not in the model",
        f"  {second} has shape [2, 3], the model's is {list(before[second].shape)}",
        "  note is a str, not a tensor",
        f"  {first} is missing",
    }
    assert third in before
    assert same(model, before)


def test_weights_of_other_norms_say_so(tmp_path: Path) -> None:
    other = create("resnet20", 10, 3, None, {}, False, norm="group")
    path = save("safetensors", other.state_dict(), tmp_path)
    with pytest.raises(InputError, match=r"bn.running_mean is missing[\s\S]*those of another model.norm= have none"):
        weights.load(create("resnet20", 10, 3, None, {}, False), weights.read(path), CLASSES)


def test_what_other_tools_write_is_loaded_where_all_keys_match_then(tmp_path: Path) -> None:
    source = tiny(seed=1).state_dict()
    counts = [key for key in source if key.endswith("num_batches_tracked")]
    older = {key: value for key, value in source.items() if key not in counts}
    average = {key: value + 1 for key, value in source.items()}
    typed = Namespace(lr=0.1, model="resnet18")
    cases: list[tuple[dict[str, Any], list[str]]] = [
        (older, ["num_batches_tracked of BatchNorm, which it lacks, from 0"]),
        (
            {f"module._orig_mod.{key}": value for key, value in source.items()},
            ["without the prefix 'module._orig_mod.'"],
        ),
        ({"model": source, "epoch": 3}, ["what is under 'model'"]),
        (
            {"state_dict": {f"model.{key}": value for key, value in source.items()}, "hyper_parameters": {"lr": 1}},
            ["what is under 'state_dict'", "without the prefix 'model.'"],
        ),
        ({"net": source, "optimizer": {"state": {0: {"m": torch.zeros(1)}}}}, ["what is under 'net'"]),
        ({"state_dict": source, "args": typed, "arch": "resnet18", "version": 2}, ["what is under 'state_dict'"]),
        ({"state_dict": source, "state_dict_ema": average, "args": typed}, ["what is under 'state_dict_ema'"]),
    ]
    for given, said in cases:
        path = tmp_path / "w.pth"
        torch.save(given, path)
        model = tiny(seed=2)
        notes = weights.load(model, weights.read(path), CLASSES)
        expected = average if "state_dict_ema" in given else {**source, **{key: torch.tensor(0) for key in counts}}
        assert same(model, expected), said
        assert len(notes) == len(said)
        assert all(note.startswith(f"{path}: {each}") for note, each in zip(notes, said, strict=True)), notes


def test_weights_of_colour_images_are_summed_for_grey_ones_as_timm_does(tmp_path: Path) -> None:
    source = tiny(seed=1)
    grey = timm.create_model(TINY, in_chans=1)
    path = save("safetensors", source.state_dict(), tmp_path)
    (note,) = weights.load(grey, weights.read(path), CLASSES)
    assert note == f"{path}: conv1.0.weight summed over the colours, for grey images"
    timms = timm.create_model(TINY, in_chans=1, pretrained=True, pretrained_cfg_overlay={"file": str(path)})
    assert same(grey, timms.state_dict())
    with pytest.raises(InputError, match=r"conv1\.0\.weight has shape"):
        weights.load(source, weights.Source(path, grey.state_dict()), CLASSES)


def test_a_densenet_of_before_torch_0_4_is_loaded(tmp_path: Path) -> None:
    """torchvision's published files have names such as ``features.denseblock1.denselayer1.norm.1.weight``."""
    source, model = timm.create_model("densenet121"), timm.create_model("densenet121")
    old = {re.sub(r"(denselayer\d+\.(?:norm|conv))([12]\.)", r"\1.\2", k): v for k, v in source.state_dict().items()}
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    (note,) = weights.load(model, weights.Source(tmp_path, old), CLASSES)
    assert note.endswith("with DenseNet's newer names, norm1 for norm.1")
    assert same(model, source.state_dict())


def test_a_class_in_a_file_is_named_with_a_way_out(tmp_path: Path) -> None:
    torch.save({"state_dict": tiny().state_dict(), "hyper_parameters": Path("x")}, tmp_path / "w.ckpt")
    with pytest.raises(InputError, match=r"it holds a pathlib\.\w+, which .* weights_only off, and save its tensors"):
        weights.read(tmp_path / "w.ckpt")


def test_a_checkpoint_of_ours_brings_its_preprocessing_and_its_averaged_weights(
    make_run: Callable[..., Any], tmp_path: Path
) -> None:
    run = make_run("trainer.ema_decay=0.5", "trainer.epochs=1", folder=tmp_path / "run")
    run.fit()
    path = tmp_path / "run" / checkpoint.BEST
    other = make_run("data.num_classes=5", "data.split_seed=9", f"model.weights={path}")
    assert same(other.model, run.ema.module.state_dict(), but=("classifier.",))
    assert not same(other.model, run.model.state_dict(), but=("classifier.",))
    assert other.loaders.preprocess == run.loaders.preprocess
    plain = make_run("data.split_seed=9")
    assert plain.loaders.preprocess != run.loaders.preprocess
    own = make_run("data.split_seed=9", f"model.weights={path}", "augment.normalize=data")
    assert own.loaders.preprocess == plain.loaders.preprocess


@pytest.mark.parametrize(("asked", "size"), [("null", 24), ("40", 40)])
def test_images_have_the_size_that_loaded_weights_were_trained_with(
    make_run: Callable[..., Any], tmp_path: Path, asked: str, size: int
) -> None:
    make_run("model=resnet20", "data.image_size=24", folder=tmp_path / "run").saver.write(None)
    loads = f"model.weights={tmp_path / 'run' / checkpoint.LAST}"
    run = make_run("model=resnet20", loads, f"data.image_size={asked}")
    assert run.loaders.preprocess.image_size == size
    assert next(run.eval_batches("val")).inputs.shape[-2:] == (size, size)
    assert run.macs == make_run("model=resnet20", f"data.image_size={size}").macs


def test_files_of_other_tools_are_taken_to_be_trained_as_published(
    make_run: Callable[..., Any], tmp_path: Path
) -> None:
    save("state dict", tiny().state_dict(), tmp_path)
    loads = (f"model={TINY}", f"model.weights={tmp_path / 'w.pth'}", "data.image_size=null", "data.val_size=2")
    assert make_run(*loads).loaders.preprocess.image_size == 160


def test_without_weights_images_have_the_sets_own_size(make_run: Callable[..., Any]) -> None:
    assert make_run("model=resnet18", "data.image_size=null").loaders.preprocess.image_size == 32  # not ImageNet's 224


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    """A checkpoint of ours with what is read of it."""
    seen = Preprocess(3, 32, "center", 1.0, "bilinear", [0.5] * 3, [0.5] * 3, "white")
    parts = {"model": tiny(classes=2).state_dict(), "preprocess": asdict(seen), "classes": CLASSES}
    checkpoint.save(tmp_path / "best.ckpt", content(**parts))
    return tmp_path / "best.ckpt"


def test_a_damaged_checkpoint_of_ours_is_refused(
    ours: Path, make_run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    weight = weights.read(ours).tensors["layer1.0.conv1.weight"]
    content = bytearray(ours.read_bytes())
    content[content.index(weight.numpy().tobytes()[:64]) + 41] ^= 1
    ours.write_bytes(content)
    reads: list[Path] = []
    load = torch.load
    monkeypatch.setattr(torch, "load", lambda path, **options: reads.append(path) or load(path, **options))
    with pytest.raises(InputError) as caught:
        make_run(f"model={TINY}", f"model.weights={ours}")
    assert str(caught.value) == f"{ours} is damaged: its content does not match its checksum"
    assert reads == [ours]


@pytest.mark.parametrize("key", ["format", "sha256", "progress", "model", "classes"])
def test_a_checkpoint_of_ours_is_known_when_the_name_of_a_key_is_damaged(ours: Path, key: str) -> None:
    content = checkpoint.load_tensors(ours)
    content["?"] = content.pop(key)
    torch.save(content, ours)
    with pytest.raises(InputError, match=rf"^{ours} is (damaged: its content|not a checkpoint of cnntrain)"):
        weights.read(ours)


@pytest.fixture
def settings(configure: Callable[..., Any]) -> Callable[..., Model]:
    return lambda **changes: replace(configure(f"model={TINY}", "model.pretrained=true").model, **changes)


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def fill(cache: Path, name: str, state: dict[str, torch.Tensor]) -> None:
    """As huggingface_hub lays it out."""
    repository = cache / f"models--{timm.get_pretrained_cfg(name).hf_hub_id.replace('/', '--')}"
    snapshot = repository / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    save_file(state, snapshot / "model.safetensors")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)


@pytest.mark.parametrize("offline", [True, False])
def test_pretrained_weights_come_from_a_filled_cache(
    settings: Callable[..., Model],
    offline: bool,
    hub_cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    make_run: Callable[..., Any],
) -> None:
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", True)  # what timm's own download obeys
    source = tiny(seed=1)
    fill(hub_cache, TINY, source.state_dict())
    if offline:
        model = settings().create(7, 3, None, pretrained=True)
        assert model.get_classifier().out_features == 7
    else:
        overrides = (f"model={TINY}", "transfer=linear_probe", "data.image_size=32", "trainer.epochs=1")
        run = make_run(*overrides)
        model = run.model
        assert run.config.model.pretrained
        assert run.loaders.preprocess.mean == list(timm.get_pretrained_cfg(TINY).mean)
        data = make_run(*overrides, "augment.normalize=data").loaders.preprocess
        assert data.mean != run.loaders.preprocess.mean
        assert is_new(model)
    assert same(model, source.state_dict(), but=("fc.",))


def three_ways_out(error: InputError, reason: str) -> bool:
    lines = str(error).splitlines()
    return (
        reason in lines[0]
        and len(lines) == 4
        and lines[1].startswith("  model.weights=<file>")
        and "HF_HUB_OFFLINE=1" in lines[2]
        and lines[3].startswith("  model.pretrained=false")
    )


@pytest.mark.parametrize(
    "error", [URLError("no route to host"), TimeoutError("timed out"), ConnectionResetError("reset")]
)
def test_without_a_network_the_answer_is_quick_and_names_three_ways_out(
    settings: Callable[..., Model], error: Exception, hub_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    start = time.monotonic()
    with pytest.raises(InputError) as caught:
        settings().create(10, 3, None, pretrained=True)
    assert time.monotonic() - start < 3
    assert three_ways_out(caught.value, str(getattr(error, "reason", error)))
    assert not hub_cache.exists()


def test_offline_with_an_empty_cache_names_the_cache(
    settings: Callable[..., Model], hub_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError) as caught:
        settings().create(10, 3, None, pretrained=True)
    assert three_ways_out(caught.value, f"HF_HUB_OFFLINE is set and timm/test_resnet.r160_in1k is not in {hub_cache}")


def test_a_hub_that_answers_with_an_error_is_reachable(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(request: Any, timeout: float) -> None:
        raise HTTPError(request.full_url, 403, "no", {}, None)  # type: ignore[arg-type]

    monkeypatch.setattr(urllib.request, "urlopen", answer)
    assert unreachable(["https://example.org"]) is None


def test_a_model_without_pretrained_weights_says_so(settings: Callable[..., Model]) -> None:
    for name in ("lenet5", "test_coatnet"):
        with pytest.raises(InputError, match=f"there are no pretrained weights for {name}"):
            settings(name=name).create(10, 3, None, pretrained=True)


def test_arguments_reach_the_constructor_and_unknown_ones_are_answered(settings: Callable[..., Model]) -> None:
    model = settings(args={"drop_path_rate": 0.1}, drop_rate=0.4).create(10, 1, None, pretrained=False)
    assert model.drop_rate == 0.4
    assert next(model.parameters()).shape[1] == 1
    with pytest.raises(ConfigError, match=r"model\.name=test_resnet with model\.args=\{'depht': 3\}: .*depht"):
        settings(args={"depht": 3}).create(10, 3, None, pretrained=False)
    with pytest.raises(ConfigError, match=r"model\.args=\{'act_layer': 'foo'\}: KeyError: 'foo'"):
        settings(args={"act_layer": "foo"}).create(10, 3, None, pretrained=False)
    with pytest.raises(ConfigError, match=r"model\.args=\{'block': 'x'\}: AttributeError: 'str' object has no"):
        settings(args={"block": "x"}).create(10, 3, None, pretrained=False)
    with pytest.raises(ConfigError, match=r"model\.name=test_resnet\.nonesuch"):
        settings(name="test_resnet.nonesuch").create(10, 3, None, pretrained=False)


class Marks:
    """Unpickled, it leaves a file: what a weights file from elsewhere could do."""

    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.marker,)


@pytest.mark.parametrize("command", ["train", "summary", "models", "resume", "config-dir"])
def test_no_command_lets_timm_load_a_file(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    file, marker = tmp_path / "weights.pth", tmp_path / "executed"
    file.write_bytes(pickle.dumps(Marks(marker)))
    assert pickle.loads(file.read_bytes()) is None and marker.exists(), "it works"
    marker.unlink()
    (tmp_path / "own" / "model").mkdir(parents=True)
    yaml = f"defaults: [timm, _self_]\nname: {TINY}\nargs: {{checkpoint_path: {file}}}\n"
    (tmp_path / "own" / "model" / "odd.yaml").write_text(yaml)
    (tmp_path / "run").mkdir()
    saved = {**composed(["model=lenet5"]), "resume": None}
    saved["model"]["args"] = {"checkpoint_path": str(file)}
    (tmp_path / "run" / "config.yaml").write_text(json.dumps(saved))
    typed = [f"model={TINY}", f"+model.args.checkpoint_path={file}"]
    argv = {
        "train": ["data=fake", "trainer.epochs=1", *typed],
        "summary": ["summary", *typed],
        "models": ["models", "filter=odd", "--config-dir", str(tmp_path / "own")],
        "resume": ["resume=run"],
        "config-dir": ["--config-dir", str(tmp_path / "own"), "model=odd", "data=fake"],
    }[command]
    assert cli.main(argv) == 2
    said = "model.args.checkpoint_path is not offered: model.weights=<file> loads weights, as tensors alone\n"
    assert capsys.readouterr().err == f"cnntrain: {'model=odd: ' if command == 'models' else ''}{said}"
    assert not marker.exists()


def test_the_preprocessing_of_pretrained_weights_fits_the_channels() -> None:
    model = tiny()
    published = published_preprocessing(model, 3)
    assert (published["mean"], published["std"]) == (
        list(model.pretrained_cfg["mean"]),
        list(model.pretrained_cfg["std"]),
    )
    assert (published["image_size"], published["crop_fraction"], published["interpolation"]) == (160, 0.95, "bilinear")
    assert published_preprocessing(model, 1)["mean"] == [pytest.approx(sum(published["mean"]) / 3)]


def test_weights_of_a_resumed_run_are_not_fetched_again(
    make_run: Callable[..., Any], configure: Callable[..., Any], hub_cache: Path
) -> None:
    state = make_run(f"model={TINY}", "data.image_size=32").state_dict()
    run = build(configure(f"model={TINY}", "data.image_size=32", "model.pretrained=true"), state)
    assert run.loaders.preprocess.mean == state["preprocess"]["mean"]


def test_other_names_in_the_same_order_are_said_and_loaded_when_asked(tmp_path: Path) -> None:
    source, model = tiny(seed=1), tiny(classes=7, seed=2)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    state = {f"_{key.replace('.', '/')}.{key.rpartition('.')[2]}": each for key, each in source.state_dict().items()}
    file = weights.read(save("state dict", state, tmp_path))
    said = "the same {} tensors in the same order and shapes: model.weights_match=order loads it"
    with pytest.raises(InputError, match=f"^model.weights={file.path} .*{said.format(len(state))}$"):
        weights.load(model, file, CLASSES)
    assert same(model, before)
    assert weights.load(model, file, CLASSES, by_order=True) == [
        f"{file.path}: by order: its names are not the model's"
    ]
    assert same(model, source.state_dict(), but=("fc.",)) and is_new(model)


def test_names_that_match_are_taken_by_name_whatever_their_order(tmp_path: Path) -> None:
    source, model = tiny(seed=1), tiny(seed=2)
    turned = dict(reversed(source.state_dict().items()))
    assert weights.load(model, weights.read(save("state dict", turned, tmp_path)), CLASSES, by_order=True) == []
    assert same(model, source.state_dict())


def test_an_order_that_does_not_fit_is_said(tmp_path: Path) -> None:
    state = {f"_{key}": value for key, value in timm.create_model("test_vit").state_dict().items()}
    with pytest.raises(InputError, match=r"model\.weights_match=order: the file's _cls_token would be the model's"):
        weights.load(tiny(), weights.read(save("state dict", state, tmp_path)), CLASSES, by_order=True)


def test_the_order_is_of_a_file() -> None:
    with pytest.raises(ConfigError, match=r"weights_match=order says how model\.weights=<file> is read"):
        check(composed(["model.weights_match=order"]), TrainConfig)
    scratch = check(composed(["model.weights_match=order", "model.weights=x.pth", "transfer=scratch"]), TrainConfig)
    assert (scratch.model.weights, scratch.model.weights_match) == (None, "names")
