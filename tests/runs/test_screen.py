"""Whatever a name holds, the terminal and the log show it in a line."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from rich.table import Table

from cnntrain import cli
from cnntrain.core.words import LINE, tell
from cnntrain.runs.report import LOG
from cnntrain.runs.screen import Screen

CLEAR = "\x1b[2J"  # clears a terminal
SMALL = (
    "model=lenet5", "data.image_size=32", "data.batch_size=4", "data.num_workers=0", "data.train_per_class=1000",
    "trainer.epochs=1",
)  # fmt: skip
Photos = Callable[..., Path]


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Photos:
    """A folder with six images in each of its folders."""
    monkeypatch.chdir(tmp_path)

    def make(*folders: str) -> Path:
        for name in folders:
            (tmp_path / "photos" / name).mkdir(parents=True)
            for index in range(6):
                Image.fromarray(np.full((32, 32, 3), 40 * index, np.uint8)).save(
                    tmp_path / f"photos/{name}/{index}.png"
                )
        return tmp_path / "photos"

    return make


def test_a_screen_shows_a_line_as_one_and_escapes_what_is_hidden(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = Table(f"column {CLEAR}", title=f"title {CLEAR}", caption="a\u202eb")
    table.add_row(f"cell {CLEAR}")
    screen = Screen(tmp_path / LOG)
    for each in (f"line {CLEAR}\nsecond", table, "[b]as it is[/b] \\x"):
        screen.say(each)
    screen.close()
    log = (tmp_path / LOG).read_text()
    for line in (log.splitlines()[0], log.splitlines()[-1]):
        assert abs(datetime.now() - datetime.strptime(line[:19], "%Y-%m-%d %H:%M:%S")) < timedelta(minutes=5)
    for shown in (capsys.readouterr().out, re.sub(r"(?m)^\d{4}-\S+ \S+  ", "", log)):
        lines = shown.splitlines()
        assert lines[0] == r"line \x1b[2J\nsecond" and lines[-1] == r"[b]as it is[/b] \x"
        assert "\x1b" not in shown and "\u202e" not in shown
        assert shown.count(r"\x1b[2J") == 4 and r"a\u202eb" in shown


@pytest.mark.no_cover
def test_a_run_on_a_class_with_a_terminal_sequence_for_its_name(
    photos: Photos, capsys: pytest.CaptureFixture[str]
) -> None:
    root = photos(CLEAR, "cat", "two\nlines")
    (root / CLEAR / "0.png").write_bytes(b"no image")
    assert cli.main(["data=imagefolder", f"data.root={root}", *SMALL]) == 2
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err and r"photos/\x1b[2J/0.png: cannot be read as an image" in err
    (root / CLEAR / "0.png").unlink()
    assert cli.main(["data=imagefolder", f"data.root={root}", *SMALL]) == 0
    out, err = capsys.readouterr()
    log = (Path(out.splitlines()[-1]) / LOG).read_text()
    for shown in (out, err, log):
        assert "\x1b" not in shown
    for shown in (out, log):
        (note,) = [line for line in shown.splitlines() if "train_per_class" in line]
        assert all(rf"{name} has " in note for name in (r"\x1b[2J", "cat", r"two\nlines"))


def test_a_run_on_a_label_of_a_hundred_thousand_characters(photos: Photos, capsys: pytest.CaptureFixture[str]) -> None:
    root = photos("a")
    rows = "".join(f"a/{index}.png,{'cat' if index % 2 else 'x' * 100_000}\n" for index in range(6))
    (root / "labels.csv").write_text(f"path,label\n{rows}")
    assert cli.main(["data=csv", f"data.root={root}", "data.split=[0.5,0.5]", *SMALL[:-1], "trainer.epochs=1"]) == 0
    out, err = capsys.readouterr()
    log = (Path(out.splitlines()[-1]) / LOG).read_text()
    assert "cat has 1" in out and "x…x" in out
    assert max(len(line) for line in (out + err + log).splitlines()) <= LINE


def test_a_run_goes_on_when_nobody_reads_it_any_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads, writes = os.pipe()
    os.close(reads)
    table = Table("a column")
    with open(writes, "w", encoding="utf-8", buffering=1) as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        screen = Screen(tmp_path / LOG)
        for each in ("first", table, "second"):
            screen.say(each)
        screen.close()
        tell("third")
    log = (tmp_path / LOG).read_text()
    assert all(each in log for each in ("first", "a column", "second"))


@pytest.mark.slow
def test_a_run_with_no_streams_at_all_writes_its_files_alone(tmp_path: Path) -> None:
    line = f"{shlex.quote(sys.executable)} -m cnntrain experiment=smoke trainer.device=cpu <&- >&- 2>&-"
    assert subprocess.run(["sh", "-c", line], cwd=tmp_path, check=False).returncode == 0
    (place,) = (path.parent for path in tmp_path.rglob("result.json"))
    assert "validation, best epoch" in (place / LOG).read_text()
    assert yaml.safe_load((place / "config.yaml").read_text())["seed"] == 0
