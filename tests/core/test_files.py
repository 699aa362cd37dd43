"""New files are whole or not there; files that are there stay as they are."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cnntrain.core import files
from cnntrain.core.errors import InputError, RunError


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(params=[True, False], ids=["hard links", "no hard links"])
def file_system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    if not request.param:
        monkeypatch.setattr(os, "link", refuse)


def test_a_new_file_is_written_with_the_folders_above_it(tmp_path: Path, file_system: None) -> None:
    files.write_new(tmp_path / "a" / "b" / "x.yaml", b"x: 1")
    assert everything(tmp_path) == {"a/b/x.yaml": b"x: 1"}


def test_a_file_that_is_there_stays_as_it_is(tmp_path: Path, file_system: None) -> None:
    (tmp_path / "x.yaml").write_bytes(b"mine")
    with pytest.raises(InputError, match=r"x\.yaml is there already"):
        files.write_new(tmp_path / "x.yaml", b"ours")
    assert everything(tmp_path) == {"x.yaml": b"mine"}


@pytest.mark.parametrize("step", ["write", "fsync", "link"])
def test_a_crash_leaves_no_file_and_the_next_try_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = tmp_path / "x.yaml"

    def crash(*_: Any) -> None:
        assert not path.exists()
        raise KeyboardInterrupt

    with monkeypatch.context() as during:
        where = {"write": (files, "_write"), "fsync": (os, "fsync"), "link": (os, "link")}[step]
        during.setattr(*where, crash)
        with pytest.raises(KeyboardInterrupt):
            files.write_new(path, b"x: 1")
    assert everything(tmp_path) == {}
    files.write_new(path, b"x: 1")
    assert everything(tmp_path) == {"x.yaml": b"x: 1"}


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=r"cannot write .*x\.yaml: No space left on device"):
        files.write_new(tmp_path / "x.yaml", b"x: 1")
    assert everything(tmp_path) == {}


@pytest.fixture
def read_only_disk(tmp_path: Path) -> Iterator[Path]:
    """Root may write where permissions forbid it, but not on this."""
    folder = tmp_path / "disk"
    folder.mkdir()
    (folder / "x").write_text("as it was")
    bind, protect = ["mount", "--bind", folder, folder], ["mount", "-o", "remount,bind,ro", folder]
    if any(subprocess.run(line, capture_output=True).returncode for line in (bind, protect)):
        pytest.skip("mounting a read-only disk needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def test_a_read_only_disk_is_said_by_the_name_of_the_file_and_leaves_it(read_only_disk: Path) -> None:
    """There not even a temporary file that was never made can be deleted, which hid the message."""
    for name in ("x", "new"):
        with pytest.raises(RunError, match=rf"^cannot write {read_only_disk / name}: Read-only file system(;|$)"):
            files.write_atomic(read_only_disk / name, b"other")
    with pytest.raises(InputError, match=rf"^cannot write {read_only_disk / 'new'}: Read-only file system$"):
        files.write_new(read_only_disk / "new", b"other")
    with (
        pytest.raises(RunError, match=rf"^cannot write {read_only_disk}: Read-only file system$"),
        files.reserved(read_only_disk),
    ):
        pass
    assert everything(read_only_disk) == {"x": b"as it was"}


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "configs").write_bytes(b"")
    with pytest.raises(InputError, match=r"cannot write .*configs/x\.yaml: .*configs is a file, not a folder"):
        files.write_new(tmp_path / "configs" / "x.yaml", b"")
    with pytest.raises(InputError, match=r"cannot write .*configs/a/x\.yaml: Not a directory"):
        files.write_new(tmp_path / "configs" / "a" / "x.yaml", b"")
