"""The commands and the code of the README and the docs, as they stand there."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from sklearn.datasets import load_digits

from cnntrain.config import compose
from cnntrain.config.line import command_of
from cnntrain.config.text import as_text

ROOT = Path(__file__).parent.parent
README, DOCS = ROOT / "README.md", sorted((ROOT / "docs").glob("*.md"))
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"^    cnntrain (?P<words>.*?)(?:[ ]{3,}.*)?$", re.MULTILINE)
CONTINUED = re.compile(r" \\\n *")  # a line's end by which a command goes on in the next
PLACEHOLDER = re.compile(r"<[^<>]+>")
OWN_CODE = "--import"
NOT_HERE = (OWN_CODE, "model.genotype=<")  # a found network is read where it is composed
SHORT = ("trainer.epochs=1", "data.train_per_class=2", "++seed=0")

Shell = Callable[..., list[str]]


def blocks(file: Path, language: str) -> list[str]:
    return [text for kind, text in BLOCK.findall(file.read_text(encoding="utf-8")) if kind == language]


def first_hour() -> list[str]:
    """The lines of the README's block of commands, without the remarks."""
    (block,) = [text for text in blocks(README, "bash") if "cnntrain --help" in text]
    return [line.partition(" #")[0].strip() for line in block.splitlines()]


def shown() -> list[tuple[str, str]]:
    """Every indented command of the README and the docs, with its file."""
    files = [(file.name, CONTINUED.sub(" ", file.read_text(encoding="utf-8"))) for file in (README, *DOCS)]
    return [(name, found["words"]) for name, text in files for found in INDENTED.finditer(text)]


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """Run a command line in an empty folder; returns the lines that it prints."""
    bin_folder = Path(sys.executable).parent

    def run(line: str, seconds: int = 300) -> list[str]:
        env = {**os.environ, "PATH": f"{bin_folder}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            ["bash", "-c", line], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=seconds
        )
        assert done.returncode == 0, f"{line}\n{done.stdout[-2000:]}\n{done.stderr}"
        return done.stdout.splitlines()

    return run


@pytest.mark.no_cover
def test_the_first_hour(shell: Shell, typed: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    lines = first_hour()
    assert len(lines) == 10
    assert shell(lines[0])[0].startswith("Train a network")  # the others without a process of their own
    run = ""
    for line in lines:
        if line.startswith("cnntrain models"):
            continue  # minutes: below
        program, *words = shlex.split(PLACEHOLDER.sub(Path(run).name, line))
        done = typed(*words)
        assert (program, done.returncode, done.stderr) == ("cnntrain", 0, ""), line
        printed = done.stdout.splitlines()
        if printed[-1].startswith("outputs/digits-lenet5-full/"):
            run = printed[-1]
    assert run


@pytest.mark.slow
def test_the_command_of_the_first_hour_that_takes_minutes(shell: Shell) -> None:
    (line,) = [each for each in first_hour() if each.startswith("cnntrain models")]
    assert any("resnext50_32x4d" in each for each in shell(line, seconds=900))


@pytest.mark.no_cover
def test_the_readmes_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (code,) = blocks(README, "python")
    digits = load_digits()
    image = (digits.images[list(digits.target).index(7)] * (255 / 16)).round().astype("uint8")
    Image.fromarray(image).save(tmp_path / "seven.png")
    (tmp_path / "hour.py").write_text(f"{code}\nprint(digits.predict(['seven.png'])[0], digits.classes)\n")
    monkeypatch.chdir(tmp_path)
    runpy.run_path("hour.py")
    assert capsys.readouterr().out.splitlines()[-1].startswith("{'7': ")


def test_extending_is_what_works(tmp_path: Path, shell: Shell) -> None:
    file = ROOT / "docs" / "extending.md"
    (tmp_path / "my_code.py").write_text("\n\n".join(blocks(file, "python")))
    for text in blocks(file, "yaml"):
        target = tmp_path / text.splitlines()[0].removeprefix("# ")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    (words,) = [words for name, words in shown() if name == file.name]
    out = "\n".join(shell(f"cnntrain {words}"))
    assert "two_layers: " in out and "stripes: train 800" in out and "transfer=only_last" in out


@pytest.mark.parametrize(("file", "words"), [each for each in shown() if not any(part in each[1] for part in NOT_HERE)])
def test_every_command_is_a_right_one(file: str, words: str) -> None:
    """What needs a network, images of the reader's or hours is held against the schema, as the command line does; not
    what is of a plug-in of Hydra's, which need not be installed."""
    parts = shlex.split(PLACEHOLDER.sub("x", words).replace("...", ""))
    multirun = "-m" in parts
    name, overrides = command_of([each for each in parts if each not in ("-m",)])
    overrides = [each for each in overrides if not each.startswith(("hydra/", "hydra."))]
    compose.check_overrides(name, compose.parse(as_text(name, overrides)), multirun)


@pytest.mark.slow
def test_the_docs_experiments_shortened(shell: Shell) -> None:
    made = ""
    lines = [words for _, words in shown()]
    for words in lines:
        if "experiment=" in words:
            made = shell(f"cnntrain {PLACEHOLDER.sub(made, words)} {' '.join(SHORT)}", seconds=1200)[-1]
    plots = [words for words in lines if words.startswith("plot runs=outputs")]  # some stand before what they draw
    assert len(plots) >= 2
    for words in plots:
        assert shell(f"cnntrain {words}")[-1].endswith("plot.png")
