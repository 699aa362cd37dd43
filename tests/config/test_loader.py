"""A configuration chooses values: whatever YAML or run it comes from, nothing of it is called, written or moved."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hydra.types import RunMode

from cnntrain import cli
from cnntrain.config.loader import Loader
from cnntrain.config.search_path import looking_in

Write = Callable[[str, str], Path]

CALLS = {
    "torch.hub.load": "repo_or_dir: {evil}, model: evil, source: local",
    "torch.load": "f: {evil}/evil.pkl, weights_only: false",
    "numpy.load": "file: {evil}/evil.pkl, allow_pickle: true",
    "timm.models.load_state_dict": "checkpoint_path: {evil}/evil.pkl, weights_only: false",
    "builtins.open": "file: {evil}/written, mode: w",
    "shutil.copy": "src: {evil}/hubconf.py, dst: {evil}/written",
    "runpy.run_path": "path_name: {evil}/hubconf.py",
    "os.system": "command: touch {evil}/written",
}


@pytest.fixture
def evil(tmp_path: Path) -> Path:
    """A folder of code that leaves a file `written` beside itself where it is run."""
    folder = tmp_path / "evil"
    folder.mkdir()
    touch = f"__import__('pathlib').Path({str(folder / 'written')!r}).touch()"
    (folder / "hubconf.py").write_text(f"{touch}\n\ndef evil():\n    {touch}\n")
    (folder / "evil.pkl").write_bytes(f"cbuiltins\neval\n(V{touch}\ntR.".encode())
    return folder


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write YAML into ``configs/`` of an empty working folder."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")

    def file(path: str, text: str) -> Path:
        target = Path("configs", path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        return target

    return file


def test_the_pickle_of_these_tests_runs_code_where_it_is_loaded(evil: Path) -> None:
    import pickle

    with open(evil / "evil.pkl", "rb") as file:
        pickle.load(file)
    assert (evil / "written").exists()


def refused(capsys: pytest.CaptureFixture[str], *argv: str) -> list[str]:
    """What a command says that is refused and leaves nothing behind."""
    before = sorted(Path().rglob("*"))
    assert cli.main([*argv, "trainer.max_steps=1"]) == 2
    assert sorted(Path().rglob("*")) == before
    screen = capsys.readouterr()
    assert screen.out == ""
    return screen.err.splitlines()


@pytest.mark.parametrize("key", ["callbacks", "launcher", "sweeper", "hydra_logging.handlers", "extra"])
def test_hydra_calls_nothing_that_a_yaml_names(
    write: Write, evil: Path, capsys: pytest.CaptureFixture[str], key: str
) -> None:
    calls = [f"{{_target_: {name}, {rest.format(evil=evil)}}}" for name, rest in CALLS.items()]
    if key in ("launcher", "sweeper"):
        node = "{_target_: torch.hub.load}"
    else:
        node = f"{{{', '.join(f'x{number}: {call}' for number, call in enumerate(calls))}}}"
    for part in reversed(key.split(".")):
        node = f"{{{part}: {node}}}"
    write("optim/mine.yaml", f"# @package _global_\ndefaults: [sgd@optim]\nhydra: {node}\n")
    for flags in (["-m"], ["--cfg", "hydra"]):
        said = refused(capsys, *flags, "optim=mine")
        assert said and all("optim/mine" in each for each in said), said
    assert not (evil / "written").exists()


def test_our_roots_are_ours(write: Write, evil: Path, capsys: pytest.CaptureFixture[str]) -> None:
    attack = f"hydra: {{callbacks: {{x: {{_target_: torch.hub.load, {CALLS['torch.hub.load'].format(evil=evil)}}}}}}}\n"
    for root in ("hydra_settings", "train", "models"):
        write(f"{root}.yaml", f"# @package _global_\n{attack}")
    assert cli.main(["models", "filter=lenet5"]) == 0
    said = capsys.readouterr().err.splitlines()
    assert said[0] == f"note: configurations of {Path('configs').absolute()} are used"
    assert [each.split()[1] for each in said[1:]] == [
        str(Path("configs", f"{root}.yaml").absolute()) for root in ("hydra_settings", "models", "train")
    ]
    assert not (evil / "written").exists()


def test_a_run_says_first_that_the_working_folders_configurations_are_used(
    write: Write, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    write("optim/mine.yaml", "defaults: [sgd]\nlr: 0.5\n")
    assert cli.main(["experiment=smoke", "optim=mine", f"output={tmp_path / 'out'}"]) == 0
    first = f"note: configurations of {Path('configs').absolute()} are used"
    assert capsys.readouterr().out.splitlines()[0] == first
    (log,) = (tmp_path / "out").rglob("train.log")
    assert log.read_text().splitlines()[0].endswith(first)


# what Hydra itself would do


@pytest.mark.parametrize(
    "line",
    [
        "hydra.run.dir=../elsewhere",
        "hydra.output_subdir=../written",
        "hydra.job.chdir=true",
        "hydra.job.env_set.LD_PRELOAD=x.so",
        "hydra.callbacks={x: {_target_: os.system, command: touch written}}",
        "+hydra.callbacks.x._target_=os.system",
        "hydra.launcher._target_=os.system",
        "hydra.sweeper={_target_: os.system}",
        "hydra.searchpath=[file:///tmp]",
        "hydra.verbose=true",
        "hydra/job_logging=default",
        "hydra/hydra_logging=default",
        "hydra/env=x",
        "hydra/callbacks=x",
    ],
)
def test_what_hydra_could_write_or_call_cannot_be_typed(
    write: Write, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    said = refused(capsys, line.replace(" ", ""))
    assert len(said) == 1
    assert said[0].startswith(f"cnntrain: {line.replace(' ', '')}: "), said


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("run: {dir: ../elsewhere}", "hydra.run.dir"),
        ("output_subdir: ../written", "hydra.output_subdir"),
        ("job: {chdir: true}", "hydra.job.chdir"),
        ("job: {env_set: {LD_PRELOAD: x.so}}", "hydra.job.env_set.LD_PRELOAD"),
        ("job: {env_copy: [NOPE]}", "hydra.job"),
        ("sweep: {dir: ../elsewhere}", "hydra.sweep.dir"),
        ("sweep: {dir: /tmp/elsewhere}", "hydra.sweep.dir"),
        ("sweep: {subdir: inside}", "hydra.sweep.subdir"),
        (r'job: {name: "x\ntouch written"}', "hydra.job.name"),  # it is written into a batch script
        ("sweep: {dir: '${oc.env:HOME}/x'}", "hydra.sweep.dir"),
        ("overrides: {task: [seed=1]}", "hydra.overrides"),
        ("job_logging: {handlers: {x: {(): os.system}}}", "hydra.job_logging.handlers.x.()"),
        ("launcher: {setup: [touch written]}", "hydra.launcher.setup"),
        ("sweeper: {params: {model.weights: 'a,b'}, storage: 'sqlite:///written'}", "hydra.sweeper.storage"),
    ],
)
def test_what_hydra_could_write_or_call_cannot_come_from_a_yaml(
    write: Write, capsys: pytest.CaptureFixture[str], text: str, key: str
) -> None:
    write("optim/mine.yaml", f"# @package _global_\ndefaults: [sgd@optim]\nhydra: {{{text}}}\n")
    said = refused(capsys, "-m", "optim=mine")
    assert any(key in each for each in said), said


@pytest.mark.parametrize("empty", ["", " ", " null", " ~"])
def test_hydras_settings_cannot_be_emptied(write: Write, capsys: pytest.CaptureFixture[str], empty: str) -> None:
    write("experiment/mine.yaml", f"# @package _global_\nname: mine\nhydra:{empty}")
    assert refused(capsys, "experiment=mine") == [
        "cnntrain: hydra: a configuration cannot empty Hydra's own settings: delete this line of the YAML"
    ]


def test_logging_of_hydras_cannot_be_replaced(write: Write, capsys: pytest.CaptureFixture[str], evil: Path) -> None:
    call = f"version: 1\nhandlers: {{x: {{(): builtins.open, file: {evil}/written, mode: w}}}}\n"
    for name in ("disabled", "default", "none", "mine"):
        write(f"hydra/job_logging/{name}.yaml", call)
        write(f"hydra/hydra_logging/{name}.yaml", call)
    write("experiment/mine.yaml", "# @package _global_\ndefaults: [override /hydra/hydra_logging: mine]\n")
    assert "hydra.hydra_logging" in "".join(refused(capsys, "experiment=mine"))
    write("experiment/mine.yaml", "# @package _global_\ndefaults: [override /hydra/job_logging: mine]\n")
    assert cli.main(["--cfg", "job", "experiment=mine"]) == 0
    assert not (evil / "written").exists()


def test_what_a_sweep_needs_can_be_set(write: Write) -> None:
    write(
        "optim/mine.yaml",
        "# @package _global_\ndefaults: [sgd@optim]\nhydra: {sweep: {dir: sweeps/mine}, job: {name: mine}}\n",
    )
    typed = ["hydra.sweep.dir=/tmp/x", "hydra.job.name=mine", "hydra.sweeper.max_batch_size=3"]
    with looking_in(None):
        found = Loader().load_configuration("train", ["optim=mine"], RunMode.RUN).hydra
        assert (found.sweep.dir, found.job.name) == ("sweeps/mine", "mine")
        found = Loader(typed).load_configuration("train", typed, RunMode.RUN).hydra
    assert (found.sweep.dir, found.job.name, found.sweeper.max_batch_size) == ("/tmp/x", "mine", 3)


# the rest of the tree


@pytest.mark.parametrize("path", ["optim", "data", "model.args"])
def test_no_key_of_the_tree_names_code(write: Write, capsys: pytest.CaptureFixture[str], path: str) -> None:
    said = refused(capsys, f"{path}._target_=os.system")
    assert any(each.startswith(f"cnntrain: {path}._target_: ") for each in said), said


def test_a_secret_of_the_environment_is_not_written_down(
    write: Write, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "hunter2")
    write("optim/mine.yaml", "defaults: [sgd]\nlr: ${oc.env:SECRET}\n")
    said = refused(capsys, "optim=mine")
    assert "oc.env:SECRET" in said[0] and "hunter2" not in "".join(said)
    assert "hunter2" not in "".join(refused(capsys, "name=${oc.env:SECRET}"))


@pytest.mark.parametrize("name", ["../../x", "/tmp/x", "a/../../x", "..", "a\nb", "a\x1b[2J"])
def test_a_runs_name_leads_into_the_output_folder(write: Write, capsys: pytest.CaptureFixture[str], name: str) -> None:
    said = refused(capsys, f'name="{name}"')
    assert "must be a folder inside outputs" in said[0]


def test_bytes_that_are_no_text_are_refused(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, "name=\udcff") == ["cnntrain: b'name=\\xff' is not UTF-8 text"]
    write("optim/mine.yaml", 'defaults: [sgd]\nname: "\\ud800"\n')
    assert len(refused(capsys, "optim=mine")) == 1
