"""Composition: whose YAML comes first, what a choice may be, and every way that it can be wrong, in plain words."""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
from composing import composed_anew
from hydra.errors import HydraException

from cnntrain.config import compose, help
from cnntrain.config.check import check, plain
from cnntrain.config.groups import builtin_dir
from cnntrain.config.schema import TrainConfig
from cnntrain.config.search_path import folders, groups, looking_in, notes
from cnntrain.core.errors import ConfigError
from cnntrain.models import registry

Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty working directory."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


@pytest.fixture
def write(tmp_path: Path, look_in: Callable[[Path | None], None]) -> Write:
    """Write YAML into the folder that --config-dir names, or into another."""

    def file(path: str, text: str | bytes, folder: str = "mine") -> Path:
        target = tmp_path / folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text if isinstance(text, bytes) else text.encode())
        look_in(tmp_path / "mine" if (tmp_path / "mine").is_dir() else None)
        return target

    return file


def tree(*overrides: str, command: str = "train") -> dict[str, Any]:
    return plain(compose.compose_config(command, compose.force(compose.parse(overrides))))


def composed(*overrides: str) -> TrainConfig:
    return check(tree(*overrides), TrainConfig)


def problems(*overrides: str, multirun: bool = False, command: str = "train") -> list[str]:
    """What the command line answers, each line short enough to read."""
    with pytest.raises(ConfigError) as caught:
        compose.check_overrides(command, compose.parse(overrides), multirun)
    found = list(caught.value.problems)
    assert all(len(each) < 400 and "\n" not in each.strip() for each in found), found
    return found


# whose YAML


def test_a_users_folder_precedes_ours(write: Write) -> None:
    write(
        "optim/sgd.yaml",
        "name: sgd\nlr: 7\nweight_decay: 0\ndecay_norms_and_biases: true\nnorm_bias_lr_multiplier: 1\n"
        "momentum: 0\nnesterov: false",
    )
    write("optim/gentle.yaml", "defaults: [sgd]\nlr: 0.125")
    assert composed().optim.lr == 7
    assert composed("optim=gentle").optim.lr == 0.125
    assert composed("optim=gentle").optim.weight_decay == 0


def test_a_local_configs_folder_precedes_ours_and_the_named_one_precedes_it(write: Write, tmp_path: Path) -> None:
    write("schedule/step.yaml", "name: step\nwarmup_epochs: 0\nevery_epochs: 3\nfactor: 0.5", folder="work/configs")
    assert tree("schedule=step")["schedule"]["every_epochs"] == 3
    write("schedule/step.yaml", "name: step\nwarmup_epochs: 0\nevery_epochs: 5\nfactor: 0.5")
    assert tree("schedule=step")["schedule"]["every_epochs"] == 5


def test_our_own_configs_are_no_users_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither where they lie nor in the clone from which they were installed, until something there is changed."""
    monkeypatch.chdir(builtin_dir().parent)
    with looking_in(None):
        assert folders() == [builtin_dir()]
    shutil.copytree(builtin_dir(), tmp_path / "clone" / "configs")
    monkeypatch.chdir(tmp_path / "clone")
    with looking_in(None):
        assert folders() == [builtin_dir()] and notes() == []
    Path("configs", "optim", "mine.yaml").write_text("defaults: [sgd]")
    with looking_in(None):
        local = Path("configs").absolute()
        assert folders() == [local, builtin_dir()] and notes() == [f"note: configurations of {local} are used"]


def test_a_missing_config_dir_is_named() -> None:
    with pytest.raises(ConfigError, match="--config-dir nowhere: there is no such folder"), looking_in("nowhere"):
        pass


def test_a_users_choices_are_offered_in_messages_and_help(write: Write) -> None:
    write("recipe/gentle.yaml", "# @package _global_\noptim: {lr: 0.5}")
    assert "gentle" in help.text("train")
    assert problems("recipe=gentel") == ["recipe=gentel does not exist; did you mean 'gentle'?"]
    assert composed("recipe=gentle").optim.lr == 0.5


def test_a_choice_can_lie_in_a_folder_of_its_group(write: Write) -> None:
    write("recipe/mine/slow.yaml", "# @package _global_\noptim: {lr: 0.5}")
    assert composed("recipe=mine/slow").optim.lr == 0.5
    assert problems("recipe=mine/slov") == ["recipe=mine/slov does not exist; did you mean 'mine/slow'?"]


# models


@pytest.mark.parametrize("name", ["resnet50", "resnet50.a1_in1k", "lenet5", "tf_efficientnet_b0", "resnet20"])
def test_any_model_is_a_choice(name: str) -> None:
    assert problems_of_choice(f"model={name}") == []
    assert tree(f"model={name}")["model"]["name"] == name


@pytest.mark.no_cover
def test_every_name_of_the_registry_is_a_choice() -> None:
    assert len(registry.names()) > 1000
    assert problems_of_choice(*(f"model={name}" for name in sorted(registry.names()))) == []
    for name in sorted(registry.names() - set(groups()["model"]))[::400]:
        assert composed(f"model={name}").model.name == name


def problems_of_choice(*overrides: str) -> list[str]:
    return compose.choice_problems(compose.parse(overrides))


def test_a_wrong_model_gets_the_nearest_ones() -> None:
    (said,) = problems("model=vgg61")
    assert said.startswith("model=vgg61 does not exist; did you mean ") and "'vgg16'" in said
    (said,) = problems("model=qqqqqq")
    assert said == "model=qqqqqq does not exist; cnntrain models lists them, and any model of timm is one"
    (said,) = problems("model.name=resnet59")
    assert said.startswith("model.name=resnet59 is no model; did you mean ")


# overrides


@pytest.mark.parametrize("prefix", ["", "+", "++"])
def test_a_value_is_set_with_any_prefix_and_a_typo_never_is(prefix: str) -> None:
    assert composed(f"{prefix}optim.lr=0.5").optim.lr == 0.5
    assert problems(f"{prefix}optim.lrr=1") == ["unknown key 'optim.lrr'; did you mean 'optim.lr'?"]
    assert problems(f"{prefix}optimm=sgd") == ["unknown key 'optimm'; did you mean 'optim'?"]
    assert composed(f"{prefix}optim=adamw").optim.name == "adamw"
    assert problems(f"{prefix}optim=adam") == ["optim=adam does not exist; did you mean 'adamw'?"]


@pytest.mark.parametrize("override", ["model.args.block_args=3", "+model.args.block_args=3"])
def test_arguments_of_a_model_are_free(override: str) -> None:
    assert composed(override).model.args == {"block_args": 3}


def test_a_deletion_is_reported() -> None:
    assert problems("~optim.lr")[0].startswith("missing key 'optim.lr'")
    assert problems("~optim")[0].startswith("missing key 'optim'")
    assert "does not exist" in problems("~nope")[0]


@pytest.mark.parametrize("override", ["recipe=null", "~recipe", "experiment=null"])
def test_a_group_that_may_be_absent_can_be_left_out(override: str) -> None:
    assert tree(override) == tree()


def test_a_group_that_must_be_there_cannot_be_left_out() -> None:
    assert problems("optim=null")[0].startswith("missing key 'optim'")
    assert tree("run=x", "data=null", command="eval")["data"] is None


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("trainer.epochs=ten", "trainer.epochs=ten must be an integer"),
        ("trainer.epochs=", "trainer.epochs= must be an integer"),
        ("data=cifar-10", "data=cifar-10 does not exist; did you mean 'cifar10' or 'cifar100'?"),
        ("data=cifar1", "data=cifar1 does not exist; did you mean 'cifar10' or 'cifar100'?"),
        ("data=imagefolder", "data.root is required: data.root=<folder"),
        ("data.root=photos", "root has no meaning for data=digits"),
        ("optim=base", "optim=base does not exist; choose one of adamw, rmsprop, sgd, timm"),
        ("data=base", "data=base does not exist; cnntrain --help lists them"),
        ("trainer=fast", "trainer=fast does not exist; choose one of default"),
        ("optim=[sgd,adamw]", "optim=['sgd', 'adamw'] does not exist; choose one of adamw, rmsprop, sgd, timm"),
        ("optim=", "optim= does not exist; choose one of adamw, rmsprop, sgd, timm"),
        ("+foo/bar=baz", "unknown key 'foo/bar'"),
        ("optim@other=sgd", "optim@other"),
        ("transfer.depth=99", "unknown key 'transfer.depth': it belongs to transfer=freeze_depth"),
        ("trainer.epochs=${nope}", "Interpolation key 'nope' not found"),
        ("hydra.nope=1", "nope"),
        ("hydra/launcher=nope", "hydra/launcher=nope: no installed plug-in of Hydra's is called so; Hydra itself has"),
        ("hydra/launcher=rq", "no installed plug-in of Hydra's is called so; pip install hydra-rq-launcher"),
        ("hydra/sweeper=ax", "no installed plug-in of Hydra's is called so; pip install hydra-ax-sweeper"),
        ("hydra/sweeper=[1,2]", "hydra/sweeper=[1,2]: give the name of one of Hydra's plug-ins"),
        ("schedule.mode=min", "schedule.mode=min does not go with schedule.metric=val/top1"),
    ],
)
def test_one_thing_wrong_is_one_line(override: str, said: str) -> None:
    (found,) = problems(override)
    assert said in found


@pytest.mark.parametrize("text", ["optim.=1", "a..b=1", "optim.lr={", "name=a b: c,", "optim.lr=choice()"])
def test_what_cannot_be_parsed_is_quoted(text: str) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        compose.parse([text])


def test_all_that_cannot_be_parsed_is_reported_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        compose.parse(["a..b=1", "optim.lr=1", "optim.=1"])
    assert len(caught.value.problems) == 2


def test_wrong_choices_and_wrong_keys_are_reported_at_once() -> None:
    found = problems("model=vgg61", "data=cifar-10", "optim.lrr=1", "trainer.epochs=ten", "seed=x")
    assert len(found) == 5


@pytest.mark.no_cover
def test_a_set_in_a_yaml_of_the_users_is_called_as_its_file(write: Write) -> None:
    write("data/stamps.yaml", "defaults: [imagefolder, _self_]\nroot: /data/stamps\n")
    write("data/mine/coins.yaml", "defaults: [csv, _self_]\nroot: /data/coins\n")
    write("data/named.yaml", "defaults: [fake, _self_]\nname: other\nsource: fake\n")
    found = [composed(f"data={each}").data for each in ("stamps", "mine/coins", "named", "fake")]
    assert [each.name for each in found] == ["stamps", "mine-coins", "other", "fake"]
    assert [type(each).__name__ for each in found] == ["ImageFolder", "Csv", "Fake", "Fake"]
    assert tree("data=stamps", command="eval")["data"]["name"] == "stamps"
    assert problems("data.source=imagefold")[0].startswith("data.source=imagefold must be one of")
    assert problems("data.name=imagefold")[0].startswith("data.name=imagefold must be one of")


# broken files


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: sgd\n lr: 1", "optim/mine.yaml, line 2, column 4: broken YAML: mapping values are not allowed here"),
        ("lr: [1", "optim/mine.yaml, line 1, column 7: broken YAML"),
        ("lr: 1\n\tmomentum: 2", "optim/mine.yaml, line 2, column 1: broken YAML"),
        ("lr: 1\nlr: 2", "optim/mine.yaml, line 2, column 1: broken YAML: found duplicate key lr"),
        ("lr: *x", "optim/mine.yaml, line 1, column 5: broken YAML: found undefined alias"),
        ("lr: !!python/object:os.system {}", "optim/mine.yaml, line 1, column 5: broken YAML"),
        (b"lr: \xff", "optim/mine.yaml is not UTF-8 text"),
        ("lr: \x00", "optim/mine.yaml"),
        ("lr: ${", "lr"),
        ("", "missing key 'optim.name'"),
        ("- a", "optim/mine.yaml holds no keys"),
        ("defaults: [sgd]\nlrr: 1", "unknown key 'optim.lrr'; did you mean 'optim.lr'?"),
        ("defaults: [sgd]\nlr: fast", "optim.lr=fast must be a number"),
        ("defaults: [sgd]\nlr: ${oc.env:CNNTRAIN_NOPE}", "CNNTRAIN_NOPE"),
        ("defaults: sgd", "Invalid defaults list in 'optim/mine'"),
        ("defaults: [3]", "Unsupported type in defaults"),
        ("defaults: [nope]", "no config 'optim/nope'"),
        ("defaults: [sgdd]", "no config 'optim/sgdd'; did you mean 'sgd'?"),
        ("defaults: [mine]", "a defaults list leads back to its own file"),
        ("# @package a b c\nname: sgd", "Too many components"),
    ],
)
def test_a_broken_file_of_the_users_is_named(write: Write, text: str | bytes, said: str) -> None:
    write("optim/mine.yaml", text)
    found = problems("optim=mine")
    assert len(found) == 1
    assert said in found[0]


def test_a_broken_file_that_is_not_used_does_no_harm(write: Write) -> None:
    write("optim/broken.yaml", "a: [")
    write("optim/other.yaml", b"\xff")
    assert composed().optim.name == "sgd"
    write("optim/mine.yaml", "lr: 1\n b: 2")
    assert "optim/mine.yaml" in problems("optim=mine")[0] or "optim/broken.yaml" in problems("optim=mine")[0]


def test_a_file_that_shadows_what_it_inherits_is_explained(write: Write) -> None:
    write("model/resnet18.yaml", "defaults: [resnet18, _self_]\ndrop_rate: 0.5")
    assert "leads back to its own file" in problems("model=resnet18")[0]


def test_a_users_model_must_be_one_of_timms(write: Write) -> None:
    write("model/net.yaml", "defaults: [timm, _self_]\nname: resnet19")
    assert problems("model=net")[0].startswith("model.name=resnet19 is no model; did you mean ")


# sweeps


def test_several_values_need_m() -> None:
    assert problems("optim.lr=0.1,0.2") == ["optim.lr=0.1,0.2 is a list of values to try: add -m"]
    assert problems("model=lenet5,resnet20", "seed=range(3)") == [
        "model=lenet5,resnet20 is a list of values to try: add -m",
        "seed=range(3) is a list of values to try: add -m",
    ]
    assert problems("optim=glob(*)") == ["optim=glob(*) is a list of values to try: add -m"]


@pytest.mark.no_cover
def test_every_swept_value_is_checked_before_the_first_job() -> None:
    found = problems("model=lenet5,vgg61", "optim.lr=0.1,fast,0", "trainer.epochs=range(0,2)", multirun=True)
    assert any("model=vgg61" in each for each in found)
    assert any("optim.lr=fast" in each for each in found)
    assert any("trainer.epochs=0 must be an integer at least 1" in each for each in found)
    found = problems("optim.lr=0.1,fast,0", "optim=sgd,adamw", multirun=True)
    assert found == ["optim.lr=fast must be a number above 0", "optim.lr=0 must be a number above 0"]


@pytest.mark.parametrize(
    "sweep", ["optim.lr=0.1,0.01", "optim=glob(*)", "seed=range(3)", "optim.lr=interval(0,1)", "optim=sgd,adamw"]
)
def test_a_sound_sweep_passes(sweep: str) -> None:
    compose.check_overrides("train", compose.parse([sweep]), multirun=True)


def test_null_is_no_choice_to_sweep() -> None:
    (said,) = problems("recipe=null,vgg2014", multirun=True)
    assert said.startswith("recipe=null cannot be one of several values")


@pytest.mark.no_cover
def test_what_is_laid_over_a_run_is_checked_with_the_run() -> None:
    """``optim.beta1`` is no key of the default optimizer, but may be one of the run's."""
    compose.check_overrides("train", compose.parse(["resume=latest", "optim.beta1=0.8"]), multirun=False)
    assert problems("resume=auto", "optim.beta1=0.8")[0].startswith("unknown key 'optim.beta1'")


# the augmentation of a data set


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ((), "affine"),
        (("data=digits",), "affine"),
        (("data=mnist",), "none"),
        (("data=fake",), "none"),
        (("data=digits", "augment=none"), "none"),
        (("data=cifar10", "augment=flip_crop"), "flip_crop"),
        (("data=cifar10", "recipe=resnet2015"), "imagenet"),
        (("experiment=smoke",), "none"),
        (("recipe=vgg2014", "augment=flip_crop"), "flip_crop"),
    ],
)
def test_a_data_set_brings_its_own_augmentation(overrides: tuple[str, ...], name: str) -> None:
    assert composed(*overrides).augment.name == name


def test_a_users_data_set_can_bring_its_own(write: Write) -> None:
    write("data/photos.yaml", "defaults: [imagefolder]\nroot: photos")
    assert composed("data=photos").augment.name == "none"
    write("augment/photos.yaml", "defaults: [imagenet]\nmin_area: 0.5")
    assert tree("data=photos")["augment"]["min_area"] == 0.5


# recipes, as ARCHITECTURES.md section 3 gives them

SGD = {"optim.name": "sgd", "optim.momentum": 0.9, "optim.nesterov": False, "optim.decay_norms_and_biases": True}
PLATEAU = {"schedule.name": "plateau", "schedule.metric": "val/top1", "schedule.mode": "max", "schedule.factor": 0.1}
RECIPES: dict[str, dict[str, Any]] = {
    "alexnet2012": {
        **SGD, **PLATEAU, "data.batch_size": 128, "optim.lr": 1e-2, "optim.weight_decay": 5e-4, "model.drop_rate": 0.5,
        "schedule.max_reductions": None, "augment.name": "imagenet",
    },
    "vgg2014": {
        **SGD, **PLATEAU, "data.batch_size": 256, "optim.lr": 1e-2, "optim.weight_decay": 5e-4, "model.drop_rate": 0.5,
        "schedule.max_reductions": 3,
    },
    "resnet2015": {
        **SGD, **PLATEAU, "data.batch_size": 256, "optim.lr": 0.1, "optim.weight_decay": 1e-5, "model.drop_rate": 0.0,
        "schedule.max_reductions": None,
    },
    "dcgan2016": {
        "optim.name": "adamw", "optim.lr": 2e-4, "optim.beta1": 0.5, "optim.beta2": 0.999, "optim.weight_decay": 0.0,
        "schedule.name": "constant", "augment.name": "none", "data.batch_size": 128,
    },
}  # fmt: skip


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("before", [(), ("model=resnet18", "data=cifar10")])
def test_a_recipe_is_exact_for_any_model_and_data(recipe: str, before: tuple[str, ...]) -> None:
    whole = tree(*before, f"recipe={recipe}")
    for key, value in RECIPES[recipe].items():
        section, _, name = key.partition(".")
        assert whole[section][name] == value, key
    check(whole, TrainConfig)


def test_there_is_no_recipe_without_a_test() -> None:
    assert set(groups()["recipe"]) == set(RECIPES)


OVERRIDES = (
    "data.batch_size=32", "optim.lr=0.5", "optim.weight_decay=0", "optim.momentum=0.5", "model.drop_rate=0.25",
    "schedule.factor=0.5", "schedule.max_reductions=7", "schedule.patience=2", "augment.normalize=data",
)  # fmt: skip


@pytest.mark.parametrize("recipe", RECIPES)
def test_each_field_can_be_overridden_before_and_after_a_recipe(recipe: str) -> None:
    for order in ((f"recipe={recipe}", *OVERRIDES), (*OVERRIDES, f"recipe={recipe}")):
        whole = tree(*order)
        for override in OVERRIDES:
            key, _, value = override.partition("=")
            section, _, name = key.partition(".")
            assert str(whole[section][name]) == value


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_model_keeps_its_own_arguments_under_a_recipe(recipe: str) -> None:
    assert tree("model=resnet18", f"recipe={recipe}")["model"]["args"] == tree("model=resnet18")["model"]["args"]


# help


def test_help_states_every_group_and_choice() -> None:
    text = " ".join(help.text("train").split())
    for group, choices in groups().items():
        if group != "model":
            assert f" {group} {', '.join(choices)} " in text
    offered = [name for name in groups()["model"] if name != help.MODEL_ABSTRACT]
    listed = text.split("; cnntrain models")[0].rpartition(" model ")[2]  # the models are too many to be named
    families = listed.split(", ")
    members = {each: [name for name in offered if fnmatch(name, each)] for each in families}
    assert {name for names in members.values() for name in names} == set(offered)
    assert all(len(names) > 1 if "*" in each else names for each, names in members.items())


def test_the_groups() -> None:
    """None has the name of a value of a command, such as eval's ``checkpoint``: Hydra would take it for the group."""
    wanted = {"model", "data", "task", "augment", "optim", "schedule", "transfer", "recipe", "trainer", "experiment"}
    wanted |= {"method", "space", "algorithm", "evaluation"}  # of explain and of nas
    assert set(groups()) == wanted


@pytest.mark.parametrize(
    ("command", "typed"),
    [
        ("train", "model=resnet20 optim.lr=0.3 model.args.norm=group data=cifar10 +data.more=1"),
        ("train", "optim.lr=0.2 optim=adamw model=vgg16 ~schedule.factor model=lenet5"),
        ("train", "experiment=two_step trainer.epochs=3 augment=flip_crop data.split=[0.8,0.2]"),
        ("train", "recipe=resnet2015 model=resnet18 optim.weight_decay=0 name=mine"),
        ("eval", "run=outputs/some shift=[a,b] part=val"),
        ("nas", "space=cell algorithm=random children=3"),
    ],
)
def test_what_tests_compose_once_is_what_hydra_composes(command: str, typed: str) -> None:
    """See support/composing.py."""

    def found() -> Any:
        try:
            return tree(*typed.split(), command=command)
        except HydraException as error:
            return str(error)

    with composed_anew():
        alone = found()
    assert found() == found() == alone


def test_packages_of_plug_ins_are_in_the_extras_that_are_named() -> None:
    extras = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    named = {each.partition(", which is cnntrain's extra ") for each in compose.PACKAGES.values()}
    found = {extra: package for package, _, extra in named if extra}
    assert found.keys() == {"slurm", "joblib"}
    assert all(extras[extra][0].startswith(package) for extra, package in found.items())
