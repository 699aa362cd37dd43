"""A user's own code: found, chosen by its name, remembered, and never named by what is loaded."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import timm
import torch
import yaml
from timm.models import _registry

from cnntrain import cli
from cnntrain.config import imports
from cnntrain.config.groups import command_class, command_names, plugin_class, plugin_names
from cnntrain.config.search_path import is_model
from cnntrain.core.errors import ConfigError
from cnntrain.models import registry

NETS = """
from timm.models import generate_default_cfgs, register_model
from torch import nn

from cnntrain.models.base import Net, Stage, build

default_cfgs = generate_default_cfgs({{"{name}_net": dict(input_size=(3, 16, 16), num_classes=10)}})

class TwoLayers(Net):
    def __init__(self, num_classes=10, in_chans=3, drop_rate=0.0):
        stem = nn.Sequential(nn.Conv2d(in_chans, 6, 3, 2, 1), nn.ReLU())
        body = nn.Sequential(nn.Conv2d(6, 8, 3, 2, 1), nn.ReLU())
        stages = [Stage("stem", stem, 6, 2), Stage("body", body, 8, 2)]
        super().__init__(stages, num_classes=num_classes, in_chans=in_chans, drop_rate=drop_rate)


@register_model
def {name}_net(pretrained=False, **kwargs):
    return build(TwoLayers, "{name}_net", pretrained, **kwargs)
"""
PARTS = """
from collections.abc import Sequence
from dataclasses import dataclass

from cnntrain.augment.base import Augment
from cnntrain.config.schema import Command, Ended
from cnntrain.core.limits import Count
from cnntrain.data.base import Data
from cnntrain.optim.base import Optim
from cnntrain.schedule.base import Schedule
from cnntrain.tasks.base import Column
from cnntrain.tasks.classify import Classify
from cnntrain.transfer.base import PartlyFrozen


@dataclass(frozen=True)
class StripeSet(Data):
    stripes: Count

    def load(self):
        from cnntrain.data.sets.arrays import Arrays, array_set
        from BESIDE import striped

        parts = {}
        for part, count in (("train", 24), ("val", 8), ("test", 8)):
            images, labels = striped(count, self.stripes)
            parts[part] = Arrays(images, labels, [f"{part}/{i}" for i in range(count)])
        return array_set(parts, ["plain", "striped"], self.channels)


@dataclass(frozen=True)
class OnlyLast(PartlyFrozen):
    def frozen(self, groups: Sequence[str], epoch: int) -> list[bool]:
        return [index < len(groups) - 2 for index in range(len(groups))]


@dataclass(frozen=True)
class Halving(Schedule):
    def decay(self, position):
        return 0.5 ** (position.step // position.steps_per_epoch)


@dataclass(frozen=True)
class UpsideDown(Augment):
    def train_transform(self, seen):
        def transform(image, target):
            from BESIDE.flips import vertical

            return vertical(*seen.fit(image, target))

        return transform


@dataclass(frozen=True)
class SignDescent(Optim):
    def build(self, groups):
        from timm.optim import Lion

        return Lion(groups, lr=self.lr)


@dataclass(frozen=True)
class ClassifyTwo(Classify):
    @property
    def columns(self):
        return [Column("top1", "right", "accuracy", percent=True, complement="error"), super().columns[-1]]


@dataclass(frozen=True)
class Greet(Command):
    words = ("name",)
    name: str

    def execute(self, typed: Sequence[str]) -> Ended:
        print(f"hello {self.name}")
        return Ended(made="greeting")
"""
BESIDE = {  # a package that the parts import in their functions
    "__init__": """
import numpy as np

def striped(count, stripes):
    labels = np.arange(count, dtype=np.int64) % 2
    images = np.zeros((count, 3, 16, 16), np.uint8)
    images[labels == 1, :, ::stripes] = 255
    return images, labels
""",
    "flips": """
def vertical(image, target):
    return image.flip(-2), target
""",
}
YAML = {
    "data/stripe_set": "defaults: [base, _self_]\nname: stripe_set\nbatch_size: 8\nnum_workers: 0\nstripes: 2",
    "transfer/only_last": "defaults: [linear_probe, _self_]\nname: only_last",
    "schedule/halving": "defaults: [base, _self_]\nname: halving",
    "augment/upside_down": "defaults: [base, _self_]\nname: upside_down",
    "optim/sign_descent": "defaults: [base, _self_]\nname: sign_descent\nlr: 0.001\nweight_decay: 0.0",
    "task/classify_two": "defaults: [classify, _self_]\nname: classify_two",
    "greet": "# Say hello.\ndefaults: [_self_, hydra_settings]\n\nname: ???  # whom",
}
OWN = ("data=stripe_set", "transfer=only_last", "schedule=halving", "model.pretrained=false", "trainer.epochs=2")


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Two files of a user's with a package beside them and their configs/, under names that no other test has."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    name = f"own_{abs(hash(str(tmp_path))) % 10**8}"
    nets, parts = tmp_path / "code" / f"{name}_nets.py", tmp_path / "code" / f"{name}_parts.py"
    nets.parent.mkdir()
    nets.write_text(NETS.format(name=name))
    parts.write_text(PARTS.replace("BESIDE", f"{name}_beside"))
    beside = nets.parent / f"{name}_beside"
    beside.mkdir()
    for each, text in BESIDE.items():
        (beside / f"{each}.py").write_text(text)
    for path, text in YAML.items():
        file = tmp_path / "code" / "configs" / f"{path}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")
    yield SimpleNamespace(nets=nets, parts=parts, beside=beside, model=f"{name}_net")
    for each in [each for each in sys.modules if each.startswith(name)]:
        del sys.modules[each]
    _registry._model_entrypoints.pop(f"{name}_net", None)


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """The command line, in this process."""

    def start(*argv: str) -> tuple[int, str, str]:
        code = cli.main(argv)
        return code, *capsys.readouterr()

    return start


@pytest.mark.no_cover
def test_a_network_a_data_source_a_policy_and_a_schedule_of_the_users_own(own: Any, run: Run) -> None:
    flags = ("--import", str(own.nets), "--import", str(own.parts))
    code, out, err = run(*flags, f"model={own.model}", *OWN)
    assert (code, err) == (0, "")
    place = Path(out.splitlines()[-1])
    result = json.loads((place / "result.json").read_text())
    assert result["data"]["name"] == "stripe_set" and result["transfer"]["name"] == "only_last"
    assert result["frozen"]["params"] > 0
    config = yaml.safe_load((place / "config.yaml").read_text())
    assert config["data"]["stripes"] == 2 and "import" not in str(config)
    assert result["test"]["top1"] == 1.0

    # without the flag a line says what is missing; nothing that was loaded names code to run
    for argv in (("eval", f"run={place}"), (f"resume={place}", "trainer.epochs=3")):
        code, out, err = run(*argv)
        assert code == 2
        assert err.startswith(f"cnntrain: {place}") and "was made with code of your own: give --import" in err
        assert str(own.nets) in err and str(own.parts) in err
    code, out, err = run(*flags, "eval", f"run={place}")
    assert (code, err) == (0, "")
    code, out, err = run(*flags, f"resume={place}", "trainer.epochs=3")
    assert (code, err) == (0, "")
    assert json.loads((place / "result.json").read_text())["epochs"] == 3

    own.parts.write_text(own.parts.read_text() + "\n# changed\n")
    code, out, err = run(*flags, f"resume={place}", "trainer.epochs=4")
    assert code == 0
    assert f"note: {own.parts.stem} is not the same code as when {place} was made" in out


@pytest.mark.no_cover
def test_an_augmentation_an_optimizer_and_a_task_of_the_users_own(own: Any, run: Run) -> None:
    words = ("data=stripe_set", "augment=upside_down", "optim=sign_descent", "task=classify_two", "trainer.epochs=1")
    sized = ("data.image_size=32", "data.num_workers=1", "checkpoint.metric=val/loss")  # a worker flips the images
    code, out, err = run("--import", str(own.parts), *words, *sized)
    assert (code, err) == (0, "")
    assert " right " in out and "top-5" not in out
    place = Path(out.splitlines()[-1])
    result = json.loads((place / "result.json").read_text())
    assert [each["name"] for each in result["task"]["columns"]] == ["top1", "loss"]
    code, _, err = run("--import", str(own.parts), *words, "checkpoint.metric=val/top5")
    assert code == 2 and "checkpoint.metric=val/top5 must be one of val/top1, val/loss" in err


def test_a_command_of_the_users_own(own: Any, run: Run) -> None:
    code, out, err = run("--import", str(own.parts), "greet", "you, there")
    assert (code, out, err) == (0, "hello you, there\ngreeting\n", "")
    code, out, err = run(f"--import={own.parts}", "--help")
    assert "  greet " in out and "Say hello." in out
    code, out, err = run("--import", str(own.parts), "greet", "--help")
    assert "name=???" in out
    code, out, err = run("greet", "you")
    assert code == 2 and "'greet' is neither a command" in err


def test_a_command_without_yaml_or_keys_has_its_help(own: Any, run: Run) -> None:
    yaml_file = own.parts.parent / "configs" / "greet.yaml"
    yaml_file.unlink()
    code, out, err = run("--import", str(own.parts), "greet", "--help")
    assert (code, out) == (2, "")
    assert err.startswith(f"cnntrain: the command greet of {own.parts} has no greet.yaml: put one into configs/")
    assert f"looked in {own.parts.parent / 'configs'}, " in err and len(err.splitlines()) == 1
    code, out, err = run("--import", str(own.parts), "--help")
    assert (code, err) == (0, "")
    assert "(has no greet.yaml)" in out and "  eval " in out  # of the others all is told
    yaml_file.write_text("# Say hello.\ndefaults: [_self_, hydra_settings]\n")
    assert run("--import", str(own.parts), "greet", "--help") == (0, "Say hello.\n\n\n", "")


@pytest.mark.no_cover
def test_strictness_holds_for_the_users_own_keys(own: Any, run: Run) -> None:
    code, _, err = run("--import", str(own.parts), "data=stripe_set", "data.stripes=0", "data.stripe=1")
    assert code == 2
    assert "data.stripes=0 must be an integer at least 1" in err
    assert "unknown key 'data.stripe'; did you mean 'data.stripes'" in err


def test_nothing_is_left_of_an_import(own: Any) -> None:
    before = command_names(), plugin_names("data"), list(sys.path)
    with imports.imported([str(own.parts)]):
        assert plugin_class("data", "stripe_set").__name__ == "StripeSet"
        assert [each.module for each in imports.present()] == [own.parts.stem]
        assert imports.config_dirs() == [own.parts.parent / "configs"]
    assert (command_names(), plugin_names("data"), sys.path) == before
    assert imports.present() == ()


Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """A package called odd-nets with entry points, as pip would leave it."""

    def make(offers: str, code: Path | None = None) -> None:
        about = tmp_path / "site" / "odd_nets-1.0.dist-info"
        about.mkdir(parents=True, exist_ok=True)
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: odd-nets\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text(f"[cnntrain]\n{offers}\n")
        monkeypatch.syspath_prepend(str(about.parent))
        if code is not None:
            monkeypatch.syspath_prepend(str(code))

    return make


def test_the_digest_is_of_the_files_beside_too_even_of_those_not_imported_yet(own: Any) -> None:
    def digest() -> str:
        with imports.imported([str(own.parts)]):
            return imports.present()[0].sha256

    before = digest()
    assert digest() == before
    (own.beside / "flips.py").write_text("def vertical(image, target): return image, target")
    assert digest() != before


def widths(own: Any) -> tuple[int, int]:
    """Of the user's network and of the stripes, as they are chosen now, by the code that is imported now."""
    with imports.imported([str(own.nets), str(own.parts)]):
        assert is_model(own.model)
        net = timm.create_model(own.model)
        images, _ = vars(sys.modules[f"{own.beside.name}"])["striped"](2, 2)
        return net.get_classifier().in_features, int((images[1, 0, :, 0] > 0).sum())


def test_what_was_edited_is_executed_anew_and_nothing_old_is_found(own: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one process, as in a notebook, within a second and to the same size; a warning of timm's would be an error."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    own.parts.write_text(f"import {own.beside.name}\n" + own.parts.read_text())
    old_net, old_images = own.nets.read_text(), (own.beside / "__init__.py").read_text()
    assert widths(own) == (8, 8)
    with imports.imported([str(own.nets), str(own.parts)]):
        kept, before = plugin_class("data", "stripe_set"), imports.present()
    with imports.imported([str(own.nets), str(own.parts)]):
        assert plugin_class("data", "stripe_set") is kept  # unchanged, it is one class for all that a process does
    own.nets.write_text(old_net.replace(", 8, ", ", 9, "))
    assert widths(own) == (9, 8)
    (own.beside / "__init__.py").write_text(old_images.replace("::stripes", ":: 1     "))
    assert widths(own) == (9, 16)
    (own.beside / "__init__.py").write_text(old_images)
    assert widths(own) == (9, 8)

    own.nets.write_text(old_net.replace(own.model, f"{own.model[:-3]}two"))
    own.parts.write_text(own.parts.read_text().replace("StripeSet", "StripesSet"))
    with imports.imported([str(own.nets), str(own.parts)]):
        assert not is_model(own.model) and is_model(f"{own.model[:-3]}two")
        assert imports.model_names() == {f"{own.model[:-3]}two"}
        assert set(plugin_names("data")) >= {"stripes_set"} and "stripe_set" not in plugin_names("data")
        assert [each.sha256 for each in imports.present()] != [each.sha256 for each in before]
    assert own.model not in timm.list_models() and own.model not in timm.list_pretrained()
    _registry._model_entrypoints.pop(f"{own.model[:-3]}two")


def test_what_the_caller_imported_itself_or_what_failed_is_executed_anew_too(
    own: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(own.nets.parent))
    own.parts.write_text(f"import {own.beside.name}\n" + own.parts.read_text())
    importlib.import_module(own.nets.stem)  # nobody knows what stood in the file then
    text = own.nets.read_text()
    own.nets.write_text(text.replace(", 8, ", ", 9, ") + "\n1 / 0\n")
    with pytest.raises(ConfigError, match="ZeroDivisionError"):
        widths(own)
    assert own.model not in timm.list_models()
    own.nets.write_text(text.replace(", 8, ", ", 7, "))
    assert widths(own)[0] == 7


def test_a_module_in_a_folder_without_init_is_executed_anew(tmp_path: Path) -> None:
    (tmp_path / "space_b").mkdir()
    main, inner = tmp_path / "main_b.py", tmp_path / "space_b" / "inner.py"
    main.write_text("from space_b import inner\n")
    for value in (1, 2):
        inner.write_text(f"value = {value}\n")
        with imports.imported([str(main)]):
            assert vars(sys.modules["main_b"])["inner"].value == value
    for name in ("main_b", "space_b", "space_b.inner"):
        del sys.modules[name]


def test_an_installed_module_that_has_changed_needs_python_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "pack_b").mkdir()
    for name in ("__init__", "one", "two"):
        (tmp_path / "pack_b" / f"{name}.py").write_text("")
    for _ in range(2):
        with imports.imported(["pack_b.one"]):
            pass
    (tmp_path / "pack_b" / "two.py").write_text("x = 1")
    said = "pack_b.one has changed since this process imported it: start Python anew"
    with pytest.raises(ConfigError, match=said), imports.imported(["pack_b.one"]):
        pass
    for name in ("pack_b", "pack_b.one"):
        del sys.modules[name]
    with imports.imported(["pack_b.one"]):  # a caller who imports it anew knows what he does
        pass


@pytest.mark.parametrize("name", ["resnet18", "lenet5"])
def test_a_network_cannot_take_the_name_of_another(own: Any, name: str) -> None:
    own.nets.write_bytes(("# coding: latin-1\n# é" + own.nets.read_text().replace(own.model, name)).encode("latin-1"))
    said = f"{own.nets} registers '{name}', as timm or cnntrain does: give it another name"
    with pytest.raises(ConfigError) as caught, imports.imported([str(own.nets)]):
        pass
    assert str(caught.value) == said
    assert own.nets.stem not in sys.modules and registry.defined_in(name) != own.nets.stem


def test_two_files_of_one_name_are_told_apart_or_refused(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"main_{folder}.py").write_text("import tools_c\n")
        (tmp_path / folder / "tools_c.py").write_text("")
    words = [str(tmp_path / folder / f"main_{folder}.py") for folder in ("a", "b")]
    first, second = (tmp_path / folder / "tools_c.py" for folder in ("a", "b"))
    said = f"--import {words[1]}: there is a module tools_c already, {first}: rename {second}"
    with pytest.raises(ConfigError, match=said), imports.imported(words):
        pass
    (tmp_path / "link").symlink_to(tmp_path / "a")
    with imports.imported([words[0], f"{tmp_path}/b/../a/main_a.py", f"{tmp_path}/link/main_a.py"]):
        assert {each.module for each in imports.present()} == {"main_a"}
    for name in ("main_a", "tools_c"):
        del sys.modules[name]


@pytest.mark.parametrize("value", ["{module}", "{module}:Halving", "{module} : Halving [extra]"])
def test_an_installed_package_offers_its_modules_by_entry_points(own: Any, install: Install, value: str) -> None:
    install(f"stripes = {value.format(module=own.parts.stem)}", own.parts.parent)
    with imports.imported([]):
        assert plugin_class("schedule", "halving").__name__ == "Halving"
        assert [each.module for each in imports.present()] == [own.parts.stem]


@pytest.mark.no_cover
def test_a_run_needs_the_modules_that_define_what_it_chose_and_no_others(
    own: Any, install: Install, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(f"odd = {own.parts.stem}", own.parts.parent)
    sizes = ("data.train_size=16", "data.val_size=8", "data.test_size=8", "data.batch_size=8", "data.num_workers=0")
    small = ("model=lenet5", "data=fake", *sizes, "trainer.epochs=1")
    code, out, err = run("--import", str(own.nets), *small)
    assert (code, err) == (0, "")
    place = Path(out.splitlines()[-1])
    (kept,) = json.loads((place / "imports.json").read_text())  # what was given may do something of its own
    assert (kept["word"], kept["needed"]) == (str(own.nets), False)
    assert torch.load(place / "last.ckpt", weights_only=True)["imports"] == [kept]

    monkeypatch.setattr(imports, "entry_points", lambda group: [])  # on another machine
    for argv in (["eval", f"run={place}"], [f"resume={place}", "trainer.epochs=2"]):
        code, out, err = run(*argv)
        assert (code, err) == (0, "")
        assert f"note: {own.nets} was imported when {place}" in out and out.count("is not now") == 1


def test_what_is_inherited_and_the_command_are_needed_too(own: Any, configure: Callable[..., Any]) -> None:
    parts = own.parts.parent / f"{own.parts.stem}_more.py"
    parts.write_text(
        f"from {own.parts.stem} import Halving\nfrom cnntrain.commands.train import Train\n"
        "class Quartering(Halving): ...\nclass Drill(Train): ...\n"
    )
    with imports.imported([str(own.nets), str(own.parts), str(parts)]):
        quartering = plugin_class("schedule", "quartering")(name="quartering", warmup_epochs=0)
        config = configure()
        drill = command_class("drill")(**vars(config))
        model = replace(config, model=replace(config.model, name=own.model))
        found = [
            [each["module"] for each in imports.remembered(each) if each["needed"]]
            for each in (config, replace(config, schedule=quartering), drill, model)
        ]
    assert found == [[], [own.parts.stem, parts.stem], [parts.stem], [own.nets.stem]]


@pytest.mark.no_cover
def test_kept_activations_depend_on_the_code_and_not_on_where_it_lies(own: Any, make_run: Callable[..., Any]) -> None:
    def depends_on(file: Path) -> Any:
        with imports.imported([str(file)]):
            return make_run("data.train_size=16").run.around(print, print).depends_on["imports"]

    moved = own.nets.parent / "elsewhere" / own.nets.name
    moved.parent.mkdir()
    moved.write_text(own.nets.read_text())
    first = depends_on(own.nets)
    del sys.modules[own.nets.stem]
    _registry._model_entrypoints.pop(own.model)
    assert depends_on(moved) == first
    moved.write_text(own.nets.read_text() + "# edited\n")
    assert depends_on(moved) != first


@pytest.mark.parametrize(
    ("value", "text", "said"),
    [
        ("no_such_module_at_all", None, ": there is no such module"),
        ("odd_code:Net", "1 / 0", " fails: ZeroDivisionError: division by zero"),
        ("odd_code", "import sys; sys.exit(3)", " fails: SystemExit: 3"),
        ("odd_code.py", "", " fails: No module named 'odd_code.py'; 'odd_code' is not a package"),
        ("not a module!", None, " names no module"),
        ("", None, " names no module"),
    ],
)
def test_an_odd_entry_point_is_named_with_its_package(
    tmp_path: Path, install: Install, value: str, text: str | None, said: str
) -> None:
    install(f"odd = {value}", tmp_path)
    if text is not None:
        (tmp_path / "odd_code.py").write_text(text)
    whole = f"the entry point odd = {value} of the installed package odd-nets{said}; mend or uninstall the package"
    with pytest.raises(ConfigError) as caught, imports.imported([]):
        pass
    sys.modules.pop("odd_code", None)
    assert str(caught.value) == whole
    told: list[str] = []
    with imports.imported([], told.append):  # as --help asks, which has to answer
        assert imports.present() == ()
    sys.modules.pop("odd_code", None)
    assert told == [whole]


@pytest.mark.parametrize(
    ("word", "text", "said"),
    [
        ("nowhere.py", None, "--import nowhere.py: there is no such file"),
        ("no_such_module", None, "--import no_such_module: there is no such module; a file ends in .py"),
        ("broken_code.py", "x = (", "--import broken_code.py fails: SyntaxError: "),
        ("raising_code.py", "1 / 0", "--import raising_code.py fails: ZeroDivisionError: division by zero"),
        ("wanting_code.py", "import no_such_module_either", "--import wanting_code.py fails: No module named"),
        ("json.py", "", "--import json.py: there is a module json already, "),
    ],
)
def test_what_cannot_be_imported_is_said(
    word: str, text: str | None, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if text is not None:
        (tmp_path / word).write_text(text)
    with pytest.raises(ConfigError) as caught, imports.imported([word]):
        pass
    assert said in str(caught.value)
    assert Path(word).stem not in sys.modules or word == "json.py"


def test_where_nothing_was_imported_no_module_of_the_process_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """There are thousands, and a check of a configuration asks hundreds of times."""
    monkeypatch.setattr(imports, "_imported", ())
    monkeypatch.setattr(imports, "sys", None)
    assert imports.modules() == []
