"""The command line as a user meets it: exit codes, a few plain lines for each error, and a run from end to end."""

from __future__ import annotations

import json
import logging
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from composing import composed

from cnntrain import __version__, cli
from cnntrain.commands.eval import Eval
from cnntrain.config import compose, help
from cnntrain.config.check import check, plain
from cnntrain.config.groups import builtin_dir, command_class, command_names
from cnntrain.config.line import command_of
from cnntrain.config.schema import Ended, TrainConfig
from cnntrain.config.search_path import groups
from cnntrain.config.text import as_text
from cnntrain.core import signals, torchrun
from cnntrain.core.errors import RunError

SMOKE = ("experiment=smoke", "trainer.device=cpu")
HEAVY = ("torch", "torchvision", "timm", "sklearn", "scipy", "numpy", "PIL", "tensorboard", "rich")
RESULT_KEYS = {
    "best": {"epoch", "val/top1", "val/loss"},
    "test": {"top1", "top5", "loss", "count"},
    "train": {"seconds", "images_per_second", "data_wait"},
    "task": {"name", "columns"},
    "data": {"name", "fingerprint", "classes", "majority"},
    "model": {"name", "params", "trainable_params", "macs"},
    "frozen": {"params", "buffers", "hash_start", "hash_end"},
}
RESULT_VALUES = {"status", "run_dir", "epochs", "weights_sha256", "peak_memory_bytes", "versions", "command"}


@pytest.fixture(autouse=True)
def process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["cnntrain"])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    for name in (*torchrun.VARIABLES, "TORCHELASTIC_RUN_ID"):
        monkeypatch.delenv(name, raising=False)


class Screen:
    """What one command line has printed and returned."""

    def __init__(self, code: int, out: str, err: str):
        self.code, self.out, self.err = code, out, err
        self.lines = err.splitlines()


@pytest.fixture
def cnn(capsys: pytest.CaptureFixture[str]) -> Callable[..., Screen]:
    """Run a command line in this process: ``cnn("experiment=smoke", ...)``."""

    def run(*words: str) -> Screen:
        capsys.readouterr()
        code = cli.main(words)
        return Screen(code, *capsys.readouterr())

    return run


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The configurations that commands are given, in place of running them."""
    from cnntrain.core import launch as launching

    seen: list[Any] = []

    def launch(runner: Any, args: Any, devices: int, device: str, keep_group: bool) -> launching.Result:
        command, tree, *_ = args
        seen.append(check(tree, command_class(command)))
        assert (runner, devices, device) == (cli.execute, seen[-1].devices, seen[-1].device_name)
        return 0, None

    def execute(config: Any, typed: Any) -> Ended:
        assert config.devices == 1
        seen.append(config)
        return Ended()

    monkeypatch.setattr(launching, "launch", launch)
    for command in ("train", "eval"):
        monkeypatch.setattr(command_class(command), "execute", execute)
    return seen


def made(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.glob("outputs/*/*/config.yaml"))


def assert_plain_error(screen: Screen, *said: str) -> None:
    assert screen.code == 2, screen.out + screen.err
    assert "Traceback" not in screen.err and "HYDRA_FULL_ERROR" not in screen.err
    assert 1 <= len(screen.lines) <= 6, screen.err
    assert all(line.startswith("cnntrain: ") and len(line) < 400 for line in screen.lines)
    for each in said:
        assert each in screen.err
    assert not Path("outputs").exists() and not Path("multirun").exists()


# errors


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("trainer.epochs=ten", "trainer.epochs=ten must be an integer"),
        ("optim.lrr=1", "unknown key 'optim.lrr'; did you mean 'optim.lr'?"),
        ("+optim.lrr=1", "unknown key 'optim.lrr'; did you mean 'optim.lr'?"),
        ("model=vgg61", "model=vgg61 does not exist; did you mean "),
        ("data=cifar-10", "data=cifar-10 does not exist; did you mean 'cifar10'"),
        ("--epochs 3", "unknown option '--epochs'; keys are written key=value: trainer.epochs=3"),
        ("--epochs=3", "unknown option '--epochs=3'; keys are written key=value: trainer.epochs=3"),
        ("--lr 0.1 --epochs 3", "keys are written key=value: optim.lr=0.1"),
        ("--batch-size 8", "data.batch_size=8"),
        ("--zzz", "unknown option '--zzz'; see cnntrain --help"),
        ("transfer.depth=99", "unknown key 'transfer.depth'"),
        ("transfer=freeze_depth transfer.depth=99 model.pretrained=false", "transfer.depth=99: this model has "),
        ("data=imagefolder", "data.root is required"),
        ("resume=nowhere", "nowhere does not exist; give a run's folder, latest or auto"),
        ("resume=latest", "there is no unfinished run under"),
        ("optim=null", "missing key 'optim'"),
        ("trian", "nor key=value; did you mean 'train'?"),
        ("resnet20", "nor key=value; did you mean model=resnet20?"),
        ("eval resnet20", "'resnet20' is no key=value; did you mean model=resnet20?; see cnntrain eval --help"),
        ("train eval", "one command at a time, not train and eval"),
        ("eval", "give one of run=<run folder>, checkpoint=<file> and predictions=<file>"),
        ("eval runn=x", "unknown key 'runn'; did you mean 'run'?"),
        ("eval run=nowhere", "nowhere/best.ckpt: there is no such file"),
        ("eval checkpoint=nowhere.ckpt", "cnntrain: nowhere.ckpt: there is no such file"),
        ("transfer=probe_depths transfer.lr_grid=[nan]", "transfer.lr_grid=[nan] must be a list whose items"),
        ("plot y_range=[nan,1]", "y_range=[nan, 1] must be a list whose items are each a number"),
        ("optim.lr=0.1,0.2", "is a list of values to try: add -m"),
        ("-m optim.lr=0.1,fast", "optim.lr=fast must be a number"),
        ("-m optim.lr=interval(0,1)", "a grid needs values; hydra/sweeper=optuna draws from a range"),
        ("-m --cfg job seed=1,2", "-m and --cfg do not go together: give one of them"),
        ("--import nowhere.py", "--import nowhere.py: there is no such file"),
        ("--import", "--import needs a file or a module"),
        ("--config-dir", "--config-dir needs a folder"),
        ("--config-dir nowhere", "--config-dir nowhere: there is no such folder"),
        ("--cfg everything", "invalid choice: 'everything'"),
        ("--cfg", "expected one argument"),
        ("--config-name x", "--config-name is not offered: the command is the config's name"),
        ("--config-path x", "--config-path is not offered: --config-dir adds a folder"),
        ("-cn=x", "-cn is not offered"),
        ("--experimental-rerun x.pickle", "it unpickles its file, which can run code"),
    ],
)
def test_an_error_is_a_few_plain_lines_and_leaves_nothing(cnn: Any, line: str, said: str) -> None:
    assert_plain_error(cnn(*line.split()), said)


def test_a_damaged_checkpoint_for_weights_is_named(cnn: Any, tmp_path: Path) -> None:
    from cnntrain.runs import checkpoint

    checkpoint.save(tmp_path / "best.ckpt", {"model": {}, "ema": None, "progress": {"note": "abcdefgh"}})
    content = (tmp_path / "best.ckpt").read_bytes()
    (tmp_path / "best.ckpt").write_bytes(content.replace(b"abcdefgh", b"abcdefgx"))
    screen = cnn(*SMOKE, "model.weights=best.ckpt")
    assert_plain_error(screen, "cnntrain: best.ckpt is damaged: its content does not match its checksum")
    assert len(screen.lines) == 1


def test_several_errors_are_reported_at_once(cnn: Any) -> None:
    screen = cnn("optim.lrr=1", "model=vgg61", "trainer.epochs=ten", "data.root=x")
    assert_plain_error(screen, "optim.lrr", "vgg61", "epochs=ten", "data.root")
    assert len(screen.lines) == 4


def test_a_broken_yaml_is_named_with_its_line(cnn: Any, tmp_path: Path) -> None:
    (tmp_path / "mine" / "optim").mkdir(parents=True)
    (tmp_path / "mine" / "optim" / "bad.yaml").write_text("name: sgd\n lr: 1")
    assert_plain_error(cnn("--config-dir", "mine", "optim=bad"), "mine/optim/bad.yaml, line 2, column 4: broken YAML")


@pytest.mark.no_cover
def test_an_unknown_key_in_a_users_yaml_is_reported(cnn: Any, tmp_path: Path) -> None:
    (tmp_path / "mine" / "optim").mkdir(parents=True)
    (tmp_path / "mine" / "optim" / "bad.yaml").write_text("defaults: [sgd]\nlrr: 1")
    for words in (("--config-dir=mine", "optim=bad"), ("optim=bad", "-cd", "mine")):
        assert_plain_error(cnn(*words), "unknown key 'optim.lrr'; did you mean 'optim.lr'?")


def test_the_first_rank_reports_first(cnn: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another says what is wrong on its machine alone: where the first has the same error, it has ended the group."""
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)
    monkeypatch.setenv("RANK", "1")
    screen = cnn("optim.lrr=1")
    assert screen.code == 2 and "optim.lrr" in screen.err and waited == [signals.FIRST_SPEAKS]


def test_an_interrupt_is_no_traceback(cnn: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "command_of", interrupted)
    screen = cnn()
    assert screen.code == 130 and screen.err == "cnntrain: interrupted\n"


def test_nothing_heavy_is_imported_before_the_config_is_valid(tmp_path: Path) -> None:
    lines = [
        "optim.lrr=1", "model=vgg61", "--help", "eval --help", "--version", "--epochs 3", "data=imagefolder",
        "resume=nowhere", "resume=latest", "--cfg job", "--info defaults", "-m optim.lr=0.1,fast", "eval runn=1",
    ]  # fmt: skip
    code = (
        "import contextlib, io, sys\nfrom cnntrain import cli\n"
        f"for line in {lines!r}:\n"
        "    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):\n"
        "        code = cli.main(line.split())\n"
        f"    print(line, code, *(each for each in {HEAVY!r} if each in sys.modules), sep='|')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    fine = ("--help", "--version", "--cfg", "--info", "eval --help")
    expected = [f"{line}|{0 if line.startswith(fine) else 2}" for line in lines]
    assert done.stdout.splitlines() == expected
    assert list(tmp_path.iterdir()) == []


def test_the_module_and_a_closed_pipe(tmp_path: Path) -> None:
    line = f"{sys.executable} -m cnntrain --help | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, cwd=tmp_path, env=os.environ)
    assert done.stdout.startswith("Train a network") and done.stderr == ""


# help and Hydra's flags


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_shows_commands_groups_and_examples(cnn: Any, flag: str) -> None:
    screen = cnn(flag)
    text = " ".join(screen.out.split())
    assert screen.code == 0 and screen.err == ""
    for name in command_names():
        assert f"{name} " in text
    for group, choices in groups().items():
        assert f"{group} {', '.join(choices) if group != 'model' else 'airbench, alexnet, '}" in text
    assert sum(line.strip().startswith("cnntrain") for line in screen.out.split("examples")[1].splitlines()) >= 3


@pytest.mark.parametrize("command", command_names())
def test_the_examples_of_the_help_compose(command: str) -> None:
    examples = help.text(command).split("examples\n")[1].split("flags")[0].strip().splitlines()
    keys = {each.name for each in fields(command_class(command))}
    assert len(examples) >= min(2, len(keys))  # a command of one key has no second way to be called
    for example in examples:
        found, overrides = command_of(shlex.split(example.strip().split("  ")[0])[1:])
        tree = plain(compose.compose_config(found, compose.force(compose.parse(as_text(found, overrides)))))
        assert found == command and set(tree) == keys
        check(tree, command_class(command))


@pytest.mark.parametrize("command", command_names())
def test_the_help_states_every_key_that_is_of_no_group(command: str) -> None:
    tree = plain(compose.compose_config(command, []))
    expected = {key for key, value in tree.items() if not isinstance(value, dict)}
    expected |= {f"{key}.{inner}" for key in tree.keys() - expected - groups().keys() for inner in tree[key]}
    own = yaml.safe_load((builtin_dir() / f"{command}.yaml").read_text())  # which may set keys of a group
    expected |= {f"{key}.{inner}" for key in own.keys() & groups().keys() if own[key] for inner in own[key]}
    lines = help.text(command).split("\nkeys\n")[1].split("\n\n")[0].splitlines()
    assert {line.split("=")[0].strip() for line in lines if re.match(r" {2}\S", line)} == expected


def test_each_command_has_its_help(cnn: Any) -> None:
    screen = cnn("eval", "--help")
    assert screen.code == 0 and "usage: cnntrain eval run=<run folder>" in screen.out


def test_cfg_prints_the_composed_configuration(cnn: Any) -> None:
    screen = cnn("--cfg", "job", "optim.lr=0.25", "model=resnet50.a1_in1k")
    tree = yaml.safe_load(screen.out)
    assert screen.code == 0 and tree["optim"]["lr"] == 0.25 and tree["model"]["name"] == "resnet50.a1_in1k"
    assert check(tree, TrainConfig).optim.lr == 0.25
    assert not Path("outputs").exists()


@pytest.mark.parametrize("part", ["hydra", "nope"])
def test_a_package_that_is_not_there_is_said_as_other_errors_are(cnn: Any, part: str) -> None:
    screen = cnn("--cfg", "job", "--package", part)
    assert screen.code == 2 and screen.err == f"cnntrain: --package={part}: --cfg=job has no such part\n"


@pytest.mark.parametrize("flags", [("--info", "searchpath"), ("--info", "defaults"), ("--info",), ("--hydra-help",)])
def test_info_shows_where_values_come_from(cnn: Any, tmp_path: Path, flags: tuple[str, ...]) -> None:
    (tmp_path / "configs").mkdir()
    screen = cnn(*flags)
    assert screen.code == 0
    if "searchpath" in flags:
        assert screen.out.index(str(tmp_path / "configs")) < screen.out.index(str(builtin_dir()))


def test_info_takes_no_command_for_its_value(cnn: Any) -> None:
    screen = cnn("--info", "eval", "run=x")
    assert screen.code == 0 and "run: x" in screen.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("job",), "is neither a command"),
        (("init",), "--shell-completion goes with install=<shell>"),
        (("install=csh",), "--shell-completion goes with install=<shell>"),
        (("query=bash",), "query=bash is what a shell asks"),
        (("install=bash", "name=\x00"), "--shell-completion goes with install=<shell>"),
    ],
)
def test_completion_says_what_it_wants(
    cnn: Any, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], said: str
) -> None:
    monkeypatch.delenv("COMP_LINE", raising=False)
    screen = cnn("-sc", *words)
    assert screen.code == 2 and said in screen.err and len(screen.lines) == 1


def test_completion_knows_options(cnn: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMP_LINE", "cnntrain optim=")
    monkeypatch.setenv("COMP_POINT", "15")
    screen = cnn("-sc", "query=bash")
    assert screen.code == 0 and {"optim=adamw", "optim=sgd"} <= set(screen.out.split())


def test_version(cnn: Any) -> None:
    assert cnn("--version").out == f"cnntrain {__version__}\n"


def test_a_local_configs_folder_is_used(cnn: Any, launched: list[Any], tmp_path: Path) -> None:
    (tmp_path / "configs" / "experiment").mkdir(parents=True)
    (tmp_path / "configs" / "experiment" / "mine.yaml").write_text("# @package _global_\noptim: {lr: 0.125}\nseed: 7")
    assert cnn("experiment=mine", "trainer.epochs=2").code == 0
    assert (launched[0].optim.lr, launched[0].seed, launched[0].trainer.epochs) == (0.125, 7, 2)


# what reaches the commands


@pytest.mark.no_cover
def test_train_is_the_default_command(cnn: Any, launched: list[Any]) -> None:
    assert cnn().code == cnn("train").code == cnn("seed=0").code == 0
    assert launched[0] == launched[1] == launched[2]
    assert isinstance(launched[0], TrainConfig) and launched[0].model.name == "lenet5"


def test_eval_gets_its_own_configuration(cnn: Any, launched: list[Any]) -> None:
    assert cnn("eval", "run=x", "data.batch_size=8", "part=val").code == 0
    (asked,) = launched
    assert isinstance(asked, Eval)
    assert (asked.run, asked.checkpoint, asked.part, asked.data) == (["x"], None, "val", {"batch_size": 8})
    assert cnn("eval", "run=x", "data=fake").code == 0
    assert launched[1].data["name"] == "fake"
    assert cnn("eval", "run=x", "data=null").code == 0
    assert launched[2].data is None


@pytest.mark.parametrize("prefix", ["", "+", "++"])
def test_eval_gets_a_checkpoints_file(cnn: Any, launched: list[Any], prefix: str) -> None:
    screen = cnn("eval", f"{prefix}checkpoint=a/best.ckpt", "part=val")
    assert (screen.code, screen.err) == (0, "")
    assert (launched[0].run, launched[0].checkpoint, launched[0].part) == (None, "a/best.ckpt", "val")


def test_a_sweep_over_checkpoints(cnn: Any, launched: list[Any]) -> None:
    assert cnn("-m", "eval", "checkpoint=a.ckpt,b.ckpt").code == 0
    assert [each.checkpoint for each in launched] == ["a.ckpt", "b.ckpt"]


@pytest.fixture
def of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process is the first of two that torchrun started."""
    for name in torchrun.VARIABLES:
        monkeypatch.setenv(name, "2" if "WORLD" in name else "0")


def test_a_world_without_what_torchrun_sets_is_none(
    cnn: Any, launched: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else each of N processes of a site that exports it would start N."""
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert cnn().code == 0 and launched[0].devices == 1
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("RANK", "0")
    screen = cnn()
    assert (screen.code, len(launched), len(screen.lines)) == (2, 1, 1)
    assert "the environment says WORLD_SIZE=4, but not LOCAL_RANK, LOCAL_WORLD_SIZE, GROUP_RANK, MASTER" in screen.err
    assert "unset WORLD_SIZE" in screen.err


@pytest.mark.no_cover
def test_a_failed_job_ends_a_sweep_of_torchruns(cnn: Any, of_two: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from cnntrain.core import launch

    tried = []

    def fail(self: TrainConfig, typed: Any) -> Ended:
        tried.append(self.seed)
        raise RunError("the disk is full")

    monkeypatch.setattr(command_class("train"), "execute", fail)
    monkeypatch.setattr(launch, "launch", lambda run, args, *_: run(*args))
    screen = cnn("-m", "seed=0,1")
    assert (screen.code, tried) == (1, [0]) and "the sweep ends with this job" in screen.out
    for name in torchrun.VARIABLES:
        monkeypatch.delenv(name)
    assert cnn("-m", "seed=0,1").code == 1 and tried == [0, 0, 1]


def test_torchrun_says_how_many_processes(cnn: Any, launched: list[Any], of_two: None) -> None:
    assert cnn().code == 0
    assert launched[0].devices == 2


def test_another_number_than_torchruns_is_an_error(cnn: Any, launched: list[Any], of_two: None) -> None:
    screen = cnn("devices=4")
    assert (screen.code, launched) == (2, [])
    assert "devices=4, but torchrun started 2 processes" in screen.err


def test_a_resumed_run_joins_torchrun_too(cnn: Any, launched: list[Any], of_two: None) -> None:
    write_run(Path("outputs/a/b"), "trainer.epochs=7")
    assert cnn("resume=latest").code == 0
    assert (launched[0].devices, launched[0].trainer.epochs) == (2, 7)


@pytest.mark.no_cover
def test_resume_lays_typed_keys_over_the_run(cnn: Any, launched: list[Any]) -> None:
    write_run(Path("outputs/a/b"), "optim=adamw", "transfer=freeze_depth", "trainer.epochs=7")
    screen = cnn("resume=outputs/a/b", "optim.beta1=0.8", "transfer.depth=2", "trainer.epochs=99")
    assert screen.code == 0
    assert "optim.beta1: 0.9 -> 0.8  (inexact" in screen.out and "trainer.epochs: 7 -> 99\n" in screen.out
    assert (launched[0].optim.beta1, launched[0].transfer.depth) == (0.8, 2)
    assert launched[0].resume == str(Path("outputs/a/b").absolute())
    assert cnn("resume=outputs/a/b", "model=resnet20").code == 2
    assert cnn("resume=outputs/a/b", "~recipe").code == 2
    assert cnn("resume=auto").code == 0
    assert launched[1].resume is None and len(launched) == 2


def write_run(folder: Path, *overrides: str) -> None:
    """A run's folder with its configuration, as a run keeps it."""
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(asdict(checked(*overrides))))


def checked(*overrides: str) -> TrainConfig:
    return check(composed(overrides), TrainConfig)


# a run from end to end


@pytest.mark.no_cover
def test_smoke_from_end_to_end(cnn: Any, tmp_path: Path) -> None:
    screen = cnn(*SMOKE)
    assert screen.code == 0 and screen.err == ""
    (run,) = made(tmp_path)
    assert screen.out.splitlines()[-1] == str(run.relative_to(tmp_path))
    assert run.parent.name == "fake-lenet5-full"
    files = {each.name for each in run.iterdir()}
    assert files >= {"config.yaml", "metrics.jsonl", "result.json", "last.ckpt", "best.ckpt", "tb", "train.log"}
    assert list((run / "tb").iterdir()) and (run / "train.log").read_text().strip()
    assert not any(name.endswith((".tmp", ".partial")) for name in files)

    result = json.loads((run / "result.json").read_text())
    assert set(result) >= RESULT_VALUES | set(RESULT_KEYS)
    for key, inner in RESULT_KEYS.items():
        assert set(result[key]) >= inner, key
    assert result["status"] == "finished" and Path(result["run_dir"]) == run.relative_to(tmp_path)
    assert result["test"]["count"] == 32 and result["model"]["name"] == "lenet5"
    assert result["model"]["params"] == result["model"]["trainable_params"] and result["frozen"]["params"] == 0
    assert result["frozen"]["hash_start"] == result["frozen"]["hash_end"]
    assert 0 <= result["test"]["top1"] <= result["test"]["top5"] <= 1 and 0 <= result["train"]["data_wait"] <= 1
    assert result["command"].startswith("cnntrain ") and all(each in result["command"] for each in SMOKE)
    assert len(result["weights_sha256"]) == 64 and result["peak_memory_bytes"] > 0

    for line in (run / "metrics.jsonl").read_text().splitlines():
        json.loads(line)

    tree = yaml.safe_load((run / "config.yaml").read_text())
    assert check(tree, TrainConfig) == checked(*SMOKE)

    again = cnn(*SMOKE, "resume=auto")  # finished: nothing is done twice
    assert again.code == 0 and again.out.splitlines()[-1] == str(run.relative_to(tmp_path))
    assert made(tmp_path) == [run] and json.loads((run / "result.json").read_text()) == result

    for words in ((f"run={run}",), (f"checkpoint={run}/best.ckpt",)):
        assert cnn("eval", *words, "device=cpu").code == 0
        evaluated = json.loads((run / "eval-fake-test/eval.json").read_text())
        assert {key: evaluated[key] for key in result["test"]} == result["test"]
        assert evaluated["command"] == f"cnntrain eval {words[0]} device=cpu"


@pytest.mark.no_cover
def test_a_sweep_makes_a_folder_a_job_and_goes_on_after_an_error(cnn: Any, tmp_path: Path) -> None:
    small = ("trainer.max_steps=1", "checkpoint.every_steps=null", "data.train_size=32")
    before = logging.root.handlers[:], logging.root.level, logging.getLogger("matplotlib").disabled
    screen = cnn("-m", *SMOKE, *small, "transfer=freeze_depth", "model.pretrained=false", "transfer.depth=99,1,2")
    assert (logging.root.handlers, logging.root.level, logging.getLogger("matplotlib").disabled) == before
    assert screen.code == 2  # of the first job, whose depth only the model can judge
    runs = made(tmp_path)
    assert len(runs) == 2
    depths = [yaml.safe_load((run / "config.yaml").read_text())["transfer"]["depth"] for run in runs]
    assert depths == [1, 2]
    assert all(json.loads((run / "result.json").read_text())["status"] == "finished" for run in runs)
    assert "transfer.depth=99" in screen.err and "Traceback" not in screen.err


@pytest.mark.no_cover
def test_a_signal_in_a_sweep_ends_the_sweep_and_resume_auto_goes_on_with_it(cnn: Any, tmp_path: Path) -> None:
    sweep = ("-m", *SMOKE, "trainer.max_steps=4", "seed=1,2,3", "resume=auto")
    step, steps = torch.optim.SGD.step, []

    def signalled(self: torch.optim.SGD, closure: None = None) -> None:
        steps.append(None)
        if len(steps) == 6:  # in the second job
            os.kill(os.getpid(), signal.SIGTERM)
        step(self, closure)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.SGD, "step", signalled)
        screen = cnn(*sweep)
    assert screen.code == signals.STOPPED
    assert "the sweep has stopped; the same command goes on with it" in screen.out
    ends = [json.loads((run / "result.json").read_text())["status"] for run in made(tmp_path)]
    assert sorted(ends) == ["finished", "stopped"]
    again = cnn(*sweep)
    assert again.code == 0 and "1 have finished before" in again.out
    results = [json.loads((run / "result.json").read_text()) for run in made(tmp_path)]
    assert [(each["status"], each["steps"]) for each in results] == [("finished", 4)] * 3
