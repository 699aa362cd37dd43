"""The strict check: YAML and dataclasses state the same keys, and whatever is wrong is reported, all of it at once."""

from __future__ import annotations

import copy
import importlib
import os
import string
from dataclasses import asdict, dataclass, fields
from functools import cache
from inspect import signature
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
import timm
import yaml
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st
from timm.models import build_model_with_cfg

from cnntrain.commands.eval import Eval
from cnntrain.config import compose
from cnntrain.config.check import check, plain
from cnntrain.config.groups import (
    ABSTRACT,
    PACKAGES,
    PLUGINS,
    builtin_dir,
    command_class,
    command_names,
    known_keys,
    plugin_class,
    plugin_names,
)
from cnntrain.config.model import Model
from cnntrain.config.refused_args import REFUSED_ARGS
from cnntrain.config.schema import Checkpoint, Command, TrainConfig, Trainer
from cnntrain.core.errors import ConfigError
from cnntrain.core.paths import is_below

Tree = dict[str, Any]
PLUGIN_CHOICES = [(group, name) for group in PLUGINS for name in plugin_names(group)]
PLAIN_SECTIONS: dict[str, type] = {"model": Model, "trainer": Trainer, "checkpoint": Checkpoint}
NEEDED = {  # required, and only the user knows it
    ("data", "imagefolder"): {"root": "photos"},
    ("data", "masks"): {"root": "photos"},
    ("data", "coco"): {"root": "photos"},
    ("data", "signals"): {"root": "signals.csv"},
    ("data", "volumes"): {"root": "clips"},
    ("data", "frames"): {"root": "clips"},
    ("data", "webdataset"): {"root": "shards"},
    ("data", "huggingface"): {"path": "owner/name"},
    ("transfer", "freeze_until"): {"until": "head"},
}
BOXES = ("coco", "voc_detection")  # beside digit_scenes


def augment_fits(data: str, augment: str) -> bool:
    """Whether it is for such data: signals, images or volumes."""
    return plugin_class("data", data).dimensions in plugin_class("augment", augment).dimensions


def tree(**choices: str) -> Tree:
    """A plain tree that the check accepts, with these choices in place of the default ones."""
    whole = copy.deepcopy(default_tree())
    for group, name in choices.items():
        whole[group] = {**from_yaml(group, name), **NEEDED.get((group, name), {})}
    for task, sets in {"segment": ("digit_scenes", "masks", "voc_segmentation"), "detect": BOXES}.items():
        dense = {"data": sets, "task": (task,)}
        if any(choices.get(group) in names for group, names in dense.items()):
            asked = {"data": "digit_scenes", "task": task}
            whole |= {
                group: from_yaml(group, name) for group, name in asked.items() if choices.get(group) not in dense[group]
            }
            if task == "detect":  # the default one turns images, which is not for boxes
                whole["augment"] = from_yaml("augment", "none")
    if whole["task"]["name"] == "multilabel":
        whole["data"] = {**from_yaml("data", "csv"), "labels": "several"}
        if whole["transfer"]["name"] in ("auto", "probe_depths"):
            whole["transfer"] = from_yaml("transfer", "linear_probe")
    if whole["task"]["name"] == "generate":
        whole["schedule"] = from_yaml("schedule", "constant")
    if whole["augment"]["name"] == "shift_noise" and not {"data", "task"} & choices.keys():
        whole["data"] = from_yaml("data", "mnist1d")
    if not augment_fits(whole["data"]["source"] or whole["data"]["name"], whole["augment"]["name"]):
        whole["augment"] = from_yaml("augment", "none")
    return whole


@cache
def default_tree() -> Tree:
    return plain(compose.compose_config("train", []))


def from_yaml(group: str, name: str) -> Tree:
    """A group's file with what it inherits."""
    return copy.deepcopy(read(group, name))


@cache
def read(group: str, name: str) -> Tree:
    own = yaml.safe_load((builtin_dir() / group / f"{name}.yaml").read_text(encoding="utf-8"))
    values: Tree = {}
    for each in own.pop("defaults", ["_self_"]):
        values |= own if each == "_self_" else from_yaml(group, each)
    return values


def checked(whole: Tree) -> TrainConfig:
    return check(whole, TrainConfig)


def problems(whole: Tree, schema: type = TrainConfig) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        check(whole, schema)
    return list(caught.value.problems)


def put(whole: Tree, path: str, value: Any) -> Tree:
    """The tree with one key set."""
    *sections, last = path.split(".")
    node = whole
    for section in sections:
        node = node[section]
    node[last] = value
    return whole


# YAML and classes


@pytest.mark.parametrize(("group", "name"), PLUGIN_CHOICES)
def test_a_plugins_yaml_states_exactly_the_fields_of_its_class(group: str, name: str) -> None:
    values = from_yaml(group, name)
    assert list(values) and values["name"] == name
    assert set(values) == {each.name for each in fields(plugin_class(group, name))}
    assert type(getattr(checked(tree(**{group: name})), group)) is plugin_class(group, name)


@pytest.mark.parametrize(("section", "name"), [("trainer", "default"), ("model", "timm")])
def test_a_sections_yaml_states_exactly_the_fields_of_its_class(section: str, name: str) -> None:
    assert set(from_yaml(section, name)) == {each.name for each in fields(PLAIN_SECTIONS[section])}


def test_the_top_level_states_exactly_the_fields_of_its_class() -> None:
    assert set(default_tree()) == {each.name for each in fields(TrainConfig)}
    assert set(default_tree()["checkpoint"]) == {each.name for each in fields(Checkpoint)}
    evaluation = set(plain(compose.compose_config("eval", [])))
    assert evaluation == {each.name for each in fields(Eval)}


@pytest.mark.parametrize("group", PLUGINS)
def test_every_plugin_file_has_a_yaml(group: str) -> None:
    package = PACKAGES.get(group, group)
    folder = builtin_dir().parent / "cnntrain" / package
    names = {file.stem for file in folder.glob("*.py")} | {file.parent.name for file in folder.glob("*/__init__.py")}
    for name in names - {"__init__", ABSTRACT}:
        module = importlib.import_module(f"cnntrain.{package}.{name}")
        base = PLUGINS[group]
        own = [
            each
            for each in vars(module).values()
            if isinstance(each, type) and issubclass(each, base) and each.__module__ == module.__name__
        ]
        assert not own or name in plugin_names(group), f"cnntrain.{package}.{name} has no {group}/{name}.yaml"


@pytest.mark.no_cover
@pytest.mark.parametrize("group", PLUGINS)
def test_a_group_of_several_options_has_a_base_that_they_inherit(group: str) -> None:
    files = {file.stem: yaml.safe_load(file.read_text()) for file in (builtin_dir() / group).glob("*.yaml")}
    base = files.pop(ABSTRACT, None)
    assert base or len(files) == 1
    for name, tree in files.items():
        assert base is None or tree["defaults"], name


@pytest.mark.no_cover
@pytest.mark.parametrize("group", PLUGINS)
def test_every_yaml_of_a_plugin_group_composes(group: str) -> None:
    files = [file for file in (builtin_dir() / group).glob("*.yaml") if file.stem != ABSTRACT]
    assert files
    for file in files:
        needed = [f"++{group}.{key}={value}" for key, value in NEEDED.get((group, file.stem), {}).items()]
        needed += ["data=csv", "data.labels=several"] if file.stem == "multilabel" else []
        needed += ["task=segment"] if file.stem in ("digit_scenes", "masks", "voc_segmentation") else []
        needed += ["task=detect"] if file.stem in BOXES else []
        needed += ["data=digit_scenes"] if file.stem in ("segment", "detect") else []
        needed += ["schedule=constant"] if file.stem == "generate" else []
        needed += ["data=mnist1d"] if file.stem == "shift_noise" else []
        checked(plain(compose.compose_config("train", [f"{group}={file.stem}", *needed])))


def test_no_class_of_the_schema_has_a_default() -> None:
    kinds = [*(command_class(name) for name in command_names()), *PLAIN_SECTIONS.values()]
    kinds += [plugin_class(group, name) for group, name in PLUGIN_CHOICES]
    for kind in kinds:
        kind_fields: Any = fields(kind)
        assert all(repr(each.default) == repr(each.default_factory) for each in kind_fields), kind  # both MISSING


def test_known_keys_cover_the_default_configuration() -> None:
    flat = [f"{key}.{inner}" for key, value in default_tree().items() if isinstance(value, dict) for inner in value]
    assert set(flat) <= set(known_keys())
    assert {"seed", "transfer.depth", "data.num_classes", "optim.beta1"} <= set(known_keys())


# what is reported


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("optim.lrr", 1, "unknown key 'optim.lrr'; did you mean 'optim.lr'?"),
        ("optimm", {}, "unknown key 'optimm'; did you mean 'optim'?"),
        ("checkpoint.zzz", 1, "unknown key 'checkpoint.zzz'; checkpoint has every_steps, time_share, keep, metric"),
        ("optim.lr", "fast", "optim.lr=fast must be a number"),
        ("optim.lr", 0, "optim.lr=0 must be a number above 0"),
        ("optim.lr", float("nan"), "optim.lr=nan must be a number"),
        ("optim.lr", None, "optim.lr=null must be a number"),
        ("optim.lr", 10**400, "must be a number"),
        ("optim.lr", "???", "missing key 'optim.lr'"),
        ("optim.nesterov", "maybe", "optim.nesterov=maybe must be true or false"),
        ("trainer.epochs", "ten", "trainer.epochs=ten must be an integer"),
        ("trainer.epochs", 1.5, "trainer.epochs=1.5 must be an integer"),
        ("trainer.epochs", "${seed}", "trainer.epochs=${seed} must be an integer"),
        ("trainer.epochs", [3], "trainer.epochs=[3] must be an integer"),
        ("trainer.max_steps", "x", "trainer.max_steps=x must be an integer at least 1 or null"),
        ("trainer.device", "gpu", "trainer.device=gpu must be one of auto, cpu, cuda"),
        ("trainer.precision", "bfloat", "did you mean 'bfloat16'"),
        ("trainer.label_smoothing", 1, "trainer.label_smoothing=1 must be a number at least 0 and below 1"),
        ("trainer.ema_decay", 1.0, "trainer.ema_decay=1.0 must be a number above 0 and below 1 or null"),
        ("checkpoint.time_share", 0, "checkpoint.time_share=0 must be a number above 0 and at most 1"),
        (
            "checkpoint.metric",
            "val/top9",
            "checkpoint.metric=val/top9 must be one of val/top1, val/top5, val/loss; did",
        ),
        ("checkpoint.metric", "val/top", "did you mean 'val/top5' or 'val/top1'"),
        ("data.split", 0.5, "data.split=0.5 must be a list"),
        ("data.split", [0.5, "x"], "each a number"),
        ("data.split", [0.5, "???"], "each a number"),
        ("data.split", [0.5, float("nan")], "data.split=[0.5, nan] must be a list whose items are each a number"),
        ("data.split", [0.5, "inf"], "data.split=[0.5, 'inf'] must be a list whose items are each a number"),
        ("data.split", [0.5, 0.6], "data.split must be fractions between 0 and 1 that sum to 1"),
        ("data.split", [1.0], "data.split needs two or three fractions"),
        ("model.args", 3, "model.args=3 must be a group of keys"),
        ("model.name", "vgg61", "model.name=vgg61 is no model; did you mean"),
        ("optim", 3, "missing key 'optim.name': choose one with optim=<name>: adamw, rmsprop, sgd, timm"),
        ("optim.name", "adam", "optim.name=adam must be one of adamw, rmsprop, sgd, timm; did you mean 'adamw'?"),
        ("trainer", 3, "trainer must be a group of keys, not 3"),
        ("seed", -1, "seed=-1 must be an integer at least 0"),
        ("devices", 0, "devices=0 must be an integer at least 1"),
    ],
)
def test_one_thing_wrong_is_one_line(path: str, value: Any, said: str) -> None:
    found = problems(put(tree(), path, value))
    assert len(found) == 1
    assert said in found[0]


@pytest.mark.parametrize(("key", "limit"), [("lr_grid", "above 0"), ("decay_grid", "at least 0")])
@pytest.mark.parametrize(
    "items", [[float("nan")], [1.0, float("inf")], [float("-inf"), 1.0], [".nan", 1], [1e300, "Inf"]]
)
def test_a_list_holds_finite_numbers_only(key: str, limit: str, items: list[Any]) -> None:
    (said,) = problems(put(tree(transfer="probe_depths"), f"transfer.{key}", items))
    assert said == f"transfer.{key}={items} must be a list whose items are each a number {limit}"


@dataclass(frozen=True)
class Nested(Command):
    rows: list[list[float]]


def test_a_list_of_lists_holds_finite_numbers_only() -> None:
    assert check({"rows": [[1, 2.5], []]}, Nested) == Nested([[1.0, 2.5], []])
    for wrong in (float("nan"), "inf"):
        assert problems({"rows": [[1.0], [2.0, wrong]]}, Nested) == [
            f"rows=[[1.0], [2.0, {wrong!r}]] must be a list whose items are each a list whose items are each a number"
        ]


def test_a_missing_key_is_named() -> None:
    whole = tree()
    del whole["optim"]["lr"], whole["trainer"], whole["seed"]
    found = problems(whole)
    assert len(found) == 3
    assert all(any(f"missing key '{key}'" in each for each in found) for key in ("optim.lr", "trainer", "seed"))


def test_everything_wrong_is_reported_at_once() -> None:
    whole = tree(transfer="freeze_depth")
    for path, value in {
        "sed": 1, "model.nam": "x", "data.batch_sise": 3, "augment.normalize": "datas", "optim.lr": "fast",
        "schedule.factor": 3, "transfer.depth": 1.5, "trainer.epochs": 0, "checkpoint.time_share": 3,
    }.items():  # fmt: skip
        put(whole, path, value)
    del whole["optim"]["momentum"]
    found = problems(whole)
    assert len(found) == 10
    for said in ("'seed'", "'model.name'", "'data.batch_size'", "normalize", "optim.lr", "schedule.factor"):
        assert any(said in each for each in found), said
    for said in ("transfer.depth", "trainer.epochs", "checkpoint.time_share", "optim.momentum"):
        assert any(said in each for each in found), said


# what the sections say together


@pytest.mark.parametrize(
    ("transfer", "pretrained", "weights", "becomes"),
    [
        ("full", None, None, False),
        ("full", True, None, True),
        ("linear_probe", None, None, True),
        ("freeze_depth", None, None, True),
        ("linear_probe", False, None, False),
        ("linear_probe", None, "w.safetensors", False),
        ("layer_decay", None, None, True),
        ("head_then_full", None, None, True),
        ("scratch", None, None, False),
        ("scratch", False, None, False),
    ],
)
def test_pretrained_is_implied_by_transfer(
    transfer: str, pretrained: bool | None, weights: str | None, becomes: bool
) -> None:
    whole = put(put(tree(transfer=transfer), "model.pretrained", pretrained), "model.weights", weights)
    assert checked(whole).model.pretrained is becomes


def test_pretrained_and_weights_exclude_each_other() -> None:
    whole = put(put(tree(), "model.pretrained", True), "model.weights", "w.safetensors")
    assert problems(whole) == ["model.pretrained=true and weights=<file> exclude each other: give one of them"]


def test_published_weights_are_for_the_norms_that_they_were_trained_with() -> None:
    whole = put(put(tree(transfer="linear_probe"), "model.name", "resnet18"), "model.norm", "batch")
    assert checked(whole).model.pretrained is True
    (problem,) = problems(put(whole, "model.norm", "group"))
    assert "norm=group makes another network than published weights are for: pretrained=false" in problem
    assert checked(put(put(whole, "model.norm", "group"), "model.pretrained", False)).model.norm == "group"


@given(batch=st.integers(1, 64), devices=st.integers(1, 8), pieces=st.integers(1, 8))
@settings(max_examples=50, deadline=None)
def test_the_batch_is_shared_equally_or_refused(batch: int, devices: int, pieces: int) -> None:
    whole = put(put(put(tree(), "data.batch_size", batch), "devices", devices), "trainer.grad_accum", pieces)
    if batch % (devices * pieces):
        (said,) = problems(whole)
        assert f"data.batch_size={batch}" in said and f"devices={devices} x trainer.grad_accum={pieces}" in said
    else:
        checked(whole)


def test_eval_needs_one_of_run_and_checkpoint() -> None:
    whole = plain(compose.compose_config("eval", []))
    assert problems(whole, Eval) == ["give one of run=<run folder>, checkpoint=<file> and predictions=<file>"]
    assert problems({**whole, "run": "a", "checkpoint": "b"}, Eval)
    assert problems({**whole, "run": ["a", "b"]}, Eval) and problems(
        {**whole, "checkpoint": "a", "ensemble": True}, Eval
    )
    assert problems({**whole, "checkpoint": "a", "average": "greedy"}, Eval)
    assert problems({**whole, "predictions": "a", "tta": "flip"}, Eval)
    said = problems({**whole, "run": "a", "corruptions": ["noise", "blurr"]}, Eval)
    assert said == [
        "corruptions[1]=blurr must be one of noise, blur, contrast, jpeg, rotation, patches; did you mean 'blur'?"
    ]
    assert check({**whole, "run": "a"}, Eval).part == "test"
    assert "must be one of train, val, test" in problems({**whole, "run": "a", "part": "all"}, Eval)[0]


# properties


@pytest.mark.parametrize("key", sorted(REFUSED_ARGS))
def test_arguments_of_timms_that_load_or_overrule_are_refused(key: str) -> None:
    whole = tree()
    whole["model"]["args"] = {"drop_path_rate": 0.1, key: None}
    assert problems(whole) == [f"model.args.{key} is not offered: {REFUSED_ARGS[key]}"]


def test_timms_own_arguments_are_refused() -> None:
    """Whatever `timm.create_model` and its builder take themselves, and do not hand to the network."""
    taken = {*signature(timm.create_model).parameters, *signature(build_model_with_cfg).parameters}
    inner = {"model_name", "model_cls", "variant", "model_cfg", "feature_cfg", "pretrained_filter_fn", "kwargs_filter"}
    assert taken - inner - {"kwargs"} <= REFUSED_ARGS.keys()


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    """A sound tree with any choice of plugins."""
    return tree(**{group: draw(st.sampled_from(plugin_names(group))) for group in PLUGINS})


def sections(whole: Tree) -> list[tuple[str, Tree]]:
    return [("", whole), *((f"{key}.", value) for key, value in whole.items() if isinstance(value, dict))]


@st.composite
def misspelled(draw: st.DrawFn, word: str) -> str:
    """`word` after one edit: a letter dropped, doubled, replaced, put in, or changed places with the next."""
    place = draw(st.integers(0, len(word) - 1))
    letter = draw(st.sampled_from(string.ascii_letters + string.digits + "_-. "))
    before, here, after = word[:place], word[place], word[place + 1 :]
    edits = [before + after, before + here * 2 + after, before + letter + after, before + letter + here + after]
    edits += [before + after[:1] + here + after[1:], word + letter, word.upper()]
    return draw(st.sampled_from(edits))


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_a_misspelled_key_is_reported_wherever_it_stands(data: st.DataObject) -> None:
    whole = data.draw(trees())
    _, origin = data.draw(st.sampled_from(sections(whole)))
    key = data.draw(st.sampled_from(sorted(origin)))
    path, target = data.draw(st.sampled_from(sections(whole)))
    word = data.draw(misspelled(key))
    assume(word not in target)
    value = copy.deepcopy(origin[key])
    if data.draw(st.booleans(), label="renamed"):
        target.pop(key, None)
    target[word] = value
    if path[:-1] in PLUGINS and "name" not in target:
        assert problems(whole)  # without its name a section's keys cannot be judged
    else:
        assert any(each.startswith(f"unknown key '{path}{word}'") for each in problems(whole))


TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=12).filter(
    lambda t: "${" not in t and t != "???"
)
TYPED = {
    "seed": st.integers(0, 2**62),
    "data.split_seed": st.integers(0, 2**62),
    "optim.lr": st.floats(1e-300, 1e300),
    "optim.weight_decay": st.floats(0, 1e300) | st.integers(0, 10),
    "optim.decay_norms_and_biases": st.booleans(),
    "trainer.deterministic": st.booleans(),
    "trainer.max_steps": st.none() | st.integers(1, 2**62),
    "trainer.ema_decay": st.none() | st.floats(0, 1, exclude_min=True, exclude_max=True),
    "name": st.none() | TEXT.filter(lambda name: not name or is_below(name)),
    "output": TEXT,
    "model.weights": st.none() | TEXT,
    "model.args": st.dictionaries(
        TEXT.filter(lambda key: key not in REFUSED_ARGS),
        st.none() | st.booleans() | st.integers() | TEXT | st.lists(TEXT),
        max_size=3,
    ),
    "schedule.milestones": st.lists(st.integers(1, 10**6), unique=True).map(sorted),
}


@pytest.mark.no_cover
@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_values_come_through_and_the_check_is_idempotent(data: st.DataObject) -> None:
    whole = tree(schedule="multistep")
    values = {path: data.draw(strategy, label=path) for path, strategy in TYPED.items()}
    for path, value in values.items():
        put(whole, path, value)
    once = checked(whole)
    plain = asdict(once)
    for path, value in values.items():
        section, _, key = path.rpartition(".")
        found = (plain[section] if section else plain)[key]
        is_path = path in ("output", "model.weights") and value is not None
        assert found == (os.path.expanduser(value) if is_path else value)
        assert isinstance(found, float | NoneType) or type(found) is type(value)
    assert checked(plain) == once
    stored = yaml.safe_load(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True))  # as commands.train writes it
    assert checked(stored) == once


@given(number=st.integers(1, 10**6), real=st.floats(1e-9, 1e9), flag=st.booleans())
@settings(max_examples=30, deadline=None)
def test_text_is_read_as_the_declared_type(number: int, real: float, flag: bool) -> None:
    whole = put(put(tree(), "trainer.epochs", str(number)), "optim.lr", repr(real))
    read = checked(put(whole, "trainer.deterministic", str(flag).lower()))
    assert (read.trainer.epochs, read.optim.lr, read.trainer.deterministic) == (number, real, flag)


SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates() | st.binary(max_size=4)
    | st.sampled_from(["???", "${seed}", "${", "${nope}", "${own:a,b,c}", "\\${x}", "1", "1e3", "nan", "null", "true"])
    | st.integers(10**300, 10**320)
)  # fmt: skip
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(SCALARS, inner, max_size=3), max_leaves=6
)


def fits(kind: Any, value: Any) -> bool:
    """Whether `value` is of the declared type."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return any(fits(each, value) for each in inner)
    if origin is Literal:
        return value in inner
    if origin is list:
        return isinstance(value, list) and all(fits(inner[0], each) for each in value)
    if origin is dict:
        return isinstance(value, dict)
    return type(value) is kind


def test_one_of_some_numbers_is_taken_as_a_number_or_as_its_text() -> None:
    for typed in (16, "16"):
        assert check(put(tree(data="imagefolder"), "data.depth", typed), TrainConfig).data.depth == 16
    for wrong in (12, "x", 16.0, True, None, [16]):
        (said,) = problems(put(tree(data="imagefolder"), "data.depth", wrong))
        assert "must be one of 8, 16" in said and said.startswith("data.depth=")


@pytest.mark.no_cover
@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_any_yaml_value_gives_the_declared_type_or_a_config_error(data: st.DataObject) -> None:
    whole = data.draw(trees())
    path, section = data.draw(st.sampled_from(sections(whole)))
    key = data.draw(st.sampled_from(sorted(section)))
    value = section[key] = data.draw(ANYTHING)
    try:
        result: Any = checked(whole)
    except ConfigError as error:
        event(f"{len(error.problems)} problems")
        return
    owner = getattr(result, path[:-1]) if path else result
    if isinstance(getattr(owner, key), tuple(PLAIN_SECTIONS.values()) + tuple(PLUGINS.values())):
        return  # a whole section that happened to be sound
    assert fits(get_type_hints(type(owner))[key], getattr(owner, key)), (path, key, value)


@given(value=ANYTHING)
@settings(max_examples=50, deadline=None)
def test_any_tree_is_judged_without_another_exception(value: Any) -> None:
    with pytest.raises(ConfigError):
        check(value, TrainConfig)
