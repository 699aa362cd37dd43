"""Looks at test: each is counted, whatever the run is doing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from answered import write_run

from cnntrain.core.errors import RunError
from cnntrain.core.lock import held
from cnntrain.runs import folder, looks


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run", [True, False])


def counted(run: Path) -> list[str]:
    return [each["command"] for each in looks.of(run)]


def in_result(run: Path) -> list[Any] | None:
    return (folder.result(run) or {}).get(looks.KEY)


def test_each_look_is_a_line_and_in_the_result(run: Path) -> None:
    assert counted(run) == ["cnntrain name=run"]  # its own test, of a version that did not count
    before = folder.result(run)
    looks.count(run / "best.ckpt", "cnntrain eval one", "f")
    looks.count(run / "older" / "3" / "best.ckpt", "cnntrain eval two", "g")
    assert counted(run) == ["cnntrain name=run", "cnntrain eval one", "cnntrain eval two"]
    assert in_result(run) == looks.of(run) and [each["fingerprint"] for each in looks.of(run)] == ["f", "f", "g"]
    after = folder.result(run)
    assert after is not None and {key: after[key] for key in after if key != looks.KEY} == before
    assert all(each["when"].startswith("20") for each in looks.of(run))


def test_a_look_at_a_run_under_way_is_counted_at_its_end(run: Path) -> None:
    with held(run):
        looks.count(run / "last.ckpt", "cnntrain eval", "f")
    assert in_result(run) is None and counted(run)[-1] == "cnntrain eval"
    (run / folder.RESULT).unlink()  # as while it is trained
    looks.count(run / "last.ckpt", "cnntrain eval", "f")
    assert len(counted(run)) == 3 and not (run / folder.RESULT).exists()


def test_a_line_that_cannot_be_read_was_a_look(run: Path) -> None:
    looks.add(run, "cnntrain eval", "f")
    with open(run / looks.LOOKS, "ab") as file:
        file.write(b"\0\0\0\n")
    assert counted(run) == ["cnntrain name=run", "cnntrain eval", ""]


def test_of_a_checkpoint_in_no_run_nothing_is_counted(tmp_path: Path) -> None:
    looks.count(tmp_path / "some" / "best.ckpt", "cnntrain eval", "f")
    assert not list(tmp_path.iterdir())


def test_a_run_that_was_not_tested_was_not_looked_at(run: Path) -> None:
    result = folder.result(run)
    (run / folder.RESULT).write_text(json.dumps({**(result or {}), "test": None}))
    assert looks.of(run) == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"cannot write .*looks\.jsonl"):
        looks.add(tmp_path / "nowhere", "cnntrain eval", "f")
