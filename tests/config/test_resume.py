"""What ``resume=`` means, on folders of runs that never ran."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import composing
import pytest
import torch
import yaml

from cnntrain.config import imports, resume
from cnntrain.config.check import check
from cnntrain.config.schema import TrainConfig
from cnntrain.core.errors import ConfigError, InputError, UserError
from cnntrain.runs import folder

Tree = dict[str, Any]
Make = Callable[..., Path]
HOLD = """
import sys
from pathlib import Path
from cnntrain.core.lock import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    input()
"""
GROUPS = (
    "augment", "data", "experiment", "model", "optim", "recipe", "schedule", "task", "trainer", "transfer",
)  # fmt: skip


@cache
def composed(*overrides: str) -> Tree:
    """What Hydra hands over, not yet checked."""
    return composing.composed(overrides)


def run_config(*overrides: str, **top: Any) -> Tree:
    return asdict(check({**composed(*overrides), **top}, TrainConfig))


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A folder as a run leaves it; later ones are newer."""
    made: list[Path] = []

    def run(*overrides: str, status: str | None = None, tree: Tree | None = None) -> Path:
        path = tmp_path / "outputs" / "digits-lenet5-full" / f"20260102-03040{len(made)}"
        path.mkdir(parents=True)
        saved = tree or run_config(*overrides, output=str(tmp_path / "outputs"))
        (path / folder.CONFIG).write_text(yaml.safe_dump(saved, sort_keys=False))
        os.utime(path / folder.CONFIG, (1000 + len(made), 1000 + len(made)))
        if status:
            (path / folder.RESULT).write_text(json.dumps({"status": status}))
        made.append(path)
        return path

    return run


@pytest.fixture
def resolve(tmp_path: Path) -> Callable[..., resume.Resumed]:
    """`resume.resolve` as the command line calls it."""

    def resolved(which: str | Path, *typed: str) -> Any:
        tree = copy.deepcopy(composed(*typed)) | {"resume": str(which), "output": str(tmp_path / "outputs")}
        return resume.resolve(tree, [f"resume={which}", *typed], GROUPS)

    return resolved


@pytest.fixture
def held_elsewhere() -> Iterator[Callable[[Path], None]]:
    """Another process that holds a folder until the test ends."""
    started: list[subprocess.Popen[str]] = []

    def hold(path: Path) -> None:
        line = [sys.executable, "-c", HOLD, str(path)]
        started.append(subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        out = started[-1].stdout
        assert out and out.readline() == "held\n"

    yield hold
    for each in started:
        each.communicate("\n", timeout=30)


# which run


def test_latest_is_the_newest_unfinished_run(make: Make, resolve: Any) -> None:
    make(), make(status="stopped")
    wanted = make(status="failed")
    make(status="finished")
    found = resolve("latest")
    assert found.folder == wanted and not found.finished and found.notes == []
    assert found.tree["resume"] == str(wanted)


def test_latest_without_an_unfinished_run_says_where_it_looked(make: Make, resolve: Any, tmp_path: Path) -> None:
    make(status="finished")
    with pytest.raises(ConfigError, match=f"there is no unfinished run under {tmp_path / 'outputs'}"):
        resolve("latest")


def test_latest_passes_over_a_run_that_another_process_holds(make: Make, resolve: Any, held_elsewhere: Any) -> None:
    older, newer = make(), make()
    assert resolve("latest").folder == newer
    held_elsewhere(newer)
    assert resolve("latest").folder == older
    assert resolve("auto").folder == older


def test_auto_is_the_newest_run_of_exactly_this_configuration(make: Make, resolve: Any) -> None:
    make("optim.lr=0.1")
    wanted = make("optim.lr=0.1")
    make("optim.lr=0.2")
    found = resolve("auto", "optim.lr=0.1")
    assert found.folder == wanted and found.notes == [] and not found.finished
    assert resolve("auto", "optim.lr=0.3") is None


def test_auto_finds_a_finished_run_too_so_that_a_command_can_be_repeated(make: Make, resolve: Any) -> None:
    make(status="finished")
    assert resolve("auto").finished


def test_auto_goes_on_with_a_run_on_another_number_of_devices(make: Make, resolve: Any) -> None:
    one, two = make("devices=1"), make("devices=2", status="finished")
    make("devices=2", "seed=1")
    assert resolve("auto", "devices=1").folder == one  # the same number, though another is newer
    found = resolve("auto", "devices=4")
    assert (found.folder, found.tree["devices"], found.finished) == (two, 4, True)
    assert found.notes == ["devices: 2 -> 4  (inexact: the run will differ from an uninterrupted one)"]
    assert resolve(two, "devices=4").finished and not resolve(two, "devices=4", "seed=1").finished


def test_auto_compares_values_as_the_schema_reads_them(make: Make, resolve: Any) -> None:
    wanted = make("transfer=linear_probe")  # model.pretrained is null as composed, true as checked
    assert resolve("auto", "transfer=linear_probe", "optim.weight_decay='0.0005'").folder == wanted


def test_auto_finds_a_run_from_before_a_key_that_has_its_default(make: Make, resolve: Any, tmp_path: Path) -> None:
    saved = run_config("optim.lr=0.1", output=str(tmp_path / "outputs"))
    del saved["report"], saved["trainer"]["watch"]
    wanted = make(tree=saved, status="finished")
    make("optim.lr=0.2")
    for _ in range(2):  # by its configuration, then by the index
        found = resolve("auto", "optim.lr=0.1")
        assert (found.folder, found.finished) == (wanted, True)
        (note,) = found.notes
        assert "newer than the checkpoint" in note and "trainer.watch=false" in note
    assert resolve("auto", "optim.lr=0.1", "trainer.watch=true") is None
    assert resolve("auto", "optim.lr=0.3") is None
    newest = make("optim.lr=0.1")
    assert resolve("auto", "optim.lr=0.1").folder == newest


def test_auto_passes_over_a_run_that_cannot_be_resumed(make: Make, resolve: Any, tmp_path: Path) -> None:
    """Release 0.1 had no tasks; its checkpoints are of format 1."""
    saved = run_config(output=str(tmp_path / "outputs"))
    del saved["task"]
    run = make(tree=saved)
    assert resolve("auto").folder == run
    torch.save({"format": 1, "sha256": "0" * 64, "model": {}}, run / "last.ckpt")
    assert resolve("auto") is None


GENOTYPE = {"space": "chain", "layers": [{"height": 3, "width": 3, "filters": 8, "stride": 1, "inputs": []}]}


def test_a_genotype_is_what_is_in_its_file_wherever_that_is(make: Make, resolve: Any, tmp_path: Path) -> None:
    words = []
    for name in ("one", "two"):
        (tmp_path / f"{name}.json").write_text(json.dumps(GENOTYPE))
        words.append(("model=found", f"model.genotype={tmp_path / name}.json"))
    run = make(*words[0])
    assert resolve("auto", *words[1]).folder == run
    for typed in (words[1], words[1][1:]):
        found = resolve(run, *typed)
        assert found.notes == [] and found.tree["model"]["args"] == {"genotype": GENOTYPE}
    (tmp_path / "two.json").write_text(json.dumps({**GENOTYPE, "layers": [{**GENOTYPE["layers"][0], "height": 5}]}))
    assert resolve("auto", *words[1]) is None
    with pytest.raises(ConfigError, match=r"model\.args\.genotype\.layers cannot change from .* within a run"):
        resolve(run, words[1][1])


def test_auto_without_any_run_starts_a_new_one(resolve: Any) -> None:
    assert resolve("auto") is None


def test_auto_with_a_wrong_key_is_an_error(resolve: Any) -> None:
    with pytest.raises(ConfigError, match=r"unknown key 'optim\.lrr'"):
        resolve("auto", "optim.lrr=1")


def test_a_path_names_any_run(make: Make, resolve: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    older = make()
    make()
    assert resolve(older).folder == older
    monkeypatch.chdir(tmp_path)
    relative = older.relative_to(tmp_path)
    found = resolve(relative)
    assert found.folder == relative and found.tree["resume"] == str(older)


def test_a_finished_run_is_finished_unless_something_changes(make: Make, resolve: Any) -> None:
    done = make(status="finished")
    assert resolve(done).finished
    assert not resolve(done, "trainer.epochs=99").finished


@pytest.mark.parametrize("which", ["nowhere", "True", "3", "{'a': 1}"])
def test_a_run_that_is_not_there_is_an_error(resolve: Any, which: str) -> None:
    with pytest.raises(ConfigError, match="does not exist; give a run's folder, latest or auto"):
        resolve(which)


@pytest.mark.no_cover
@pytest.mark.parametrize("which", ["auto", "latest", None])
def test_code_of_the_users_that_changed_is_noted_and_missing_code_refused(
    make: Make, resolve: Any, tmp_path: Path, which: str | None
) -> None:
    sys.modules.pop("code_that_changes", None)
    run, code = make(), tmp_path / "code_that_changes.py"
    code.write_text("A = 1\n")
    with imports.imported([str(code)]):
        needed = [{**asdict(each), "needed": True} for each in imports.present()]
        (run / folder.IMPORTS).write_text(json.dumps(needed))
        assert resolve(which or run).notes == []
        (run / folder.IMPORTS).write_text(json.dumps([{**needed[0], "sha256": "0" * 64}]))
        assert resolve(which or run).notes == [f"note: code_that_changes is not the same code as when {run} was made"]
    with pytest.raises(ConfigError, match=f"{run} was made with code of your own: give --import {code} again"):
        resolve(which or run)


# what differs


def test_a_run_keeps_its_own_configuration(make: Make, resolve: Any) -> None:
    run = make("optim=adamw", "optim.lr=0.007", "data=fake", "data.train_size=99", "augment=flip_crop")
    found = resolve(run, "trainer.epochs=99")
    saved = yaml.safe_load((run / folder.CONFIG).read_text())
    saved["trainer"]["epochs"], saved["resume"] = 99, str(run)
    assert found.tree == saved
    check(found.tree, TrainConfig)


def test_typed_keys_need_to_fit_the_run_only(make: Make, resolve: Any) -> None:
    """``optim.beta1`` is no key of the default optimizer, nor is the root one of the default data set."""
    run = make("optim=adamw", "data=imagefolder", "data.root=photos", "schedule=cosine")
    found = resolve(run, "optim.beta1=0.8", "data.root=moved", "schedule.final_fraction=0.5")
    assert found.tree["optim"]["beta1"] == 0.8
    assert [note.split("  ")[0] for note in found.notes] == [
        "data.root: photos -> moved",
        "optim.beta1: 0.9 -> 0.8",
        "schedule.final_fraction: 0.0 -> 0.5",
    ]


@pytest.mark.parametrize(
    ("override", "note", "exact"),
    [
        ("trainer.epochs=99", "trainer.epochs: 40 -> 99", True),
        ("data.num_workers=1", "data.num_workers: 0 -> 1", True),
        ("checkpoint.every_steps=5", "checkpoint.every_steps: None -> 5", True),
        ("trainer.log_every=5", "trainer.log_every: 0 -> 5", True),
        ("trainer.early_stopping=5", "trainer.early_stopping: None -> 5", True),
        ("optim.lr=0.5", "optim.lr: 0.05 -> 0.5", False),
        ("seed=1", "seed: 0 -> 1", False),
        ("devices=2", "devices: 1 -> 2", False),
        ("data.batch_size=32", "data.batch_size: 64 -> 32", False),
        ("trainer.precision=float64", "trainer.precision: float32 -> float64", False),
        ("trainer.clip_norm=1", "trainer.clip_norm: None -> 1.0", False),
        ("transfer.head_lr_multiplier=2", "transfer.head_lr_multiplier: 1.0 -> 2.0", False),
        ("model.drop_rate=0.5", "model.drop_rate: None -> 0.5", False),
    ],
)
def test_a_change_is_shown_and_said_to_be_exact_or_not(
    make: Make, resolve: Any, override: str, note: str, exact: bool
) -> None:
    run = make("trainer.epochs=40", "optim.lr=0.05")
    (found,) = resolve(run, override).notes
    assert found == note + ("" if exact else "  (inexact: the run will differ from an uninterrupted one)")


@pytest.mark.parametrize("name", ["cosine", "triangle"])
def test_the_length_of_a_whole_curve_is_an_inexact_change(name: str, make: Make, resolve: Any) -> None:
    run = make(f"schedule={name}")
    (note,) = resolve(run, "trainer.epochs=99").notes
    assert note.startswith("trainer.epochs") and "inexact" in note


def test_the_same_value_again_is_no_change(make: Make, resolve: Any) -> None:
    run = make("optim.lr=0.5")
    assert resolve(run, "optim.lr=0.5", "data=digits").notes == []


def test_a_group_is_laid_over_as_a_whole(make: Make, resolve: Any) -> None:
    run = make("transfer=freeze_depth", "transfer.depth=2", "model.pretrained=false")
    found = resolve(run, "transfer=full")
    assert found.tree["transfer"] == {"name": "full", "head_lr_multiplier": 1.0}
    assert any(note.startswith("transfer.depth: 2 -> None") and "inexact" in note for note in found.notes)


@pytest.mark.parametrize(
    "override",
    ["model.name=resnet20", "model=resnet20", "data=fake", "optim=adamw", "schedule=step", "data.image_size=28",
     "model.pretrained=true", "model.weights=w.safetensors", "model.args.a=1", "model.norm=group",
     "augment.normalize=model", "name=x",
     "data.channels=3", "data.crop=pad", "data.crop_fraction=0.5", "data.interpolation=bicubic"],
)  # fmt: skip
def test_what_the_checkpoint_does_not_fit_is_refused(make: Make, resolve: Any, override: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(make(), override)
    *refused, last = caught.value.problems
    assert refused and all(" cannot change from " in each and each.endswith(" within a run") for each in refused)
    assert last.startswith("start a new run")


@pytest.mark.parametrize(
    ("choices", "override", "key"),
    [
        (["optim=timm"], "optim.opt=lion", "optim.opt"),
        (["optim=timm", "optim.opt=adamw"], "++optim.args.amsgrad=true", "optim.args.amsgrad"),
        (["optim=timm", "++optim.args.amsgrad=true"], "optim.args.amsgrad=false", "optim.args.amsgrad"),
        (["optim=rmsprop", "optim.momentum=0"], "optim.momentum=0.9", "optim.momentum"),
        (["schedule=plateau"], "schedule.metric=train/top1", "schedule.metric"),
        (["transfer=probe_depths", "model.pretrained=false"], "transfer.lr_grid=[0.1]", "transfer.lr_grid"),
        (["transfer=probe_depths", "model.pretrained=false"], "transfer.normalize=false", "transfer.normalize"),
        (["transfer=probe_depths", "model.pretrained=false"], "transfer=full", "transfer.name"),
        ([], "transfer=probe_depths", "transfer.name"),
    ],
)
def test_what_is_kept_depends_on_a_choices_own_keys_too(
    make: Make, resolve: Any, choices: list[str], override: str, key: str
) -> None:
    run = make(*choices)
    with pytest.raises(ConfigError, match=f"{key} cannot change from .* within a run"):
        resolve(run, override)


@pytest.mark.parametrize(
    ("choices", "override"),
    [
        (["optim=timm"], "optim.lr=0.5"),
        (["optim=sgd", "optim.momentum=0"], "optim.momentum=0.9"),
        (["optim=adamw"], "optim.beta1=0.8"),
        (["optim=rmsprop"], "optim.alpha=0.8"),
        (["schedule=plateau"], "schedule.patience=1"),
        (["transfer=probe_depths", "model.pretrained=false"], "transfer.references=[knn]"),
        (["trainer.ema_decay=0.9"], "trainer.ema_decay=null"),
        ([], "trainer.ema_decay=0.9"),
        ([], "transfer=gradual"),
    ],
)
def test_what_changes_nothing_of_the_form_may_change(
    make: Make, resolve: Any, choices: list[str], override: str
) -> None:
    (*_, note) = resolve(make("model.pretrained=false", *choices), override).notes
    assert note.endswith("(inexact: the run will differ from an uninterrupted one)")


@pytest.mark.parametrize("override", ["recipe=vgg2014", "experiment=smoke", "~recipe", "~optim.lr"])
def test_what_sets_no_one_key_is_refused(make: Make, resolve: Any, tmp_path: Path, override: str) -> None:
    tree = copy.deepcopy(composed()) | {"resume": "latest", "output": str(tmp_path / "outputs")}
    make()
    with pytest.raises(ConfigError, match="cannot be laid over a run under way; give the keys"):
        resume.resolve(tree, ["resume=latest", override], GROUPS)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("optim.lrr=1", "unknown key 'optim.lrr'; did you mean 'optim.lr'?"),
        ("optim.lr=fast", "optim.lr=fast must be a number"),
        ("optim.lr.x=1", "optim.lr={'x': 1} must be a number"),
        ("trainer.epochs=0", "trainer.epochs=0 must be an integer at least 1"),
        ("optim.beta1=0.8", "unknown key 'optim.beta1'"),
        ("nope=1", "unknown key 'nope'"),
    ],
)
def test_a_wrong_key_is_reported(make: Make, resolve: Any, override: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(make(), override)
    assert said in caught.value.problems[0]


# damage


@pytest.mark.parametrize("content", [b"", b"a: [", b"- a", b"\xff", b"seed: 0"])
def test_a_damaged_config_is_an_error(make: Make, resolve: Any, content: bytes) -> None:
    run = make()
    (run / folder.CONFIG).write_bytes(content)
    with pytest.raises(UserError, match=r"config\.yaml( is damaged|, line 1|.*UTF-8)|missing key 'model'"):
        resolve(run)


def test_a_config_of_another_version_is_checked(make: Make, resolve: Any) -> None:
    saved = run_config()
    saved["optim"]["old_key"] = 1
    with pytest.raises(ConfigError, match=r"unknown key 'optim\.old_key'"):
        resolve(make(tree=saved))


def test_keys_that_came_since_have_their_defaults(make: Make, resolve: Any) -> None:
    saved = run_config()
    del saved["report"], saved["trainer"]["watch"]
    found = resolve(make(tree=saved), "trainer.epochs=99")
    assert found.tree["report"] == run_config()["report"] and found.tree["trainer"]["watch"] is False
    newer, changed = found.notes
    assert "newer than the checkpoint" in newer and "trainer.watch=false" in newer and "trainer.epochs" in changed


@pytest.mark.parametrize("override", ["trainer.epochs=99", "optim.lrr=1"])
def test_a_run_of_an_older_release_is_said_to_be_one(make: Make, resolve: Any, override: str) -> None:
    """Release 0.1 had no tasks; its checkpoints are of format 1."""
    saved = run_config()
    del saved["task"]
    run = make(tree=saved)
    torch.save({"format": 1, "sha256": "0" * 64, "model": {}}, run / "last.ckpt")
    with pytest.raises(
        InputError, match=f"^{run} was made by an older cnntrain, whose runs cannot be resumed: start a"
    ):
        resolve(run, override)


def test_a_wrong_key_is_said_without_a_look_at_the_checkpoint(make: Make, resolve: Any) -> None:
    run = make()
    (run / "last.ckpt").write_bytes(b"reading it would take seconds")
    with pytest.raises(ConfigError, match=r"unknown key 'optim\.lrr'"):
        resolve(run, "optim.lrr=1")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff"])
def test_a_damaged_result_is_an_error(make: Make, resolve: Any, content: bytes) -> None:
    run = make()
    (run / folder.RESULT).write_bytes(content)
    for which in (run, "latest"):
        with pytest.raises(InputError, match=r"result\.json is damaged"):
            resolve(which)
