"""Entries on disk: whole or absent, shared by runs, readable until the last one that maps them ends."""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
from pathlib import Path

import pytest
import torch

from cnntrain.core import store
from cnntrain.core.lock import held
from cnntrain.core.store import Entry

KEY = "ab" * 32


def entry(key: str = KEY) -> Entry:
    about = {"model": "net", "data": "set", "part": "train", "cut": ["pool", "cat"], "views": 1}
    return Entry(key, [(5, 3), (5, 2, 2)], [torch.float32, torch.bfloat16], about)


def filled(root: Path, run: str, value: float) -> Path:
    """A folder of an entry that a run has filled and not yet published."""
    folder = entry().unfinished(root, run, node=0)
    entry().make_files(folder)
    for tensor in entry().mapped(folder, fill=True):
        tensor.fill_(value)
    return folder


def test_what_is_written_is_read_by_another_mapping(tmp_path: Path) -> None:
    entry().publish(filled(tmp_path, "1a", 1.5), tmp_path)
    assert entry().is_in(tmp_path) and entry().is_whole(tmp_path)
    first, second = entry().mapped(tmp_path / KEY)
    assert first.shape == (5, 3) and second.dtype == torch.bfloat16
    assert bool((first == 1.5).all()) and bool((second == 1.5).all())
    assert entry().size == 5 * 3 * 4 + 5 * 4 * 2


def test_of_two_runs_that_fill_an_entry_the_first_leaves_it_to_both(tmp_path: Path) -> None:
    one, two = filled(tmp_path, "1a", 1.0), filled(tmp_path, "2b", 2.0)
    own = entry().mapped(two)
    entry().publish(one, tmp_path)
    entry().publish(two, tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == [KEY]
    assert bool((entry().mapped(tmp_path / KEY)[0] == 1.0).all())
    assert bool((own[0] == 2.0).all())  # the slower run goes on with what it has mapped


@pytest.mark.parametrize("reason", [errno.EROFS, errno.EPERM])
def test_an_entry_on_a_disk_that_cannot_be_written_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: int
) -> None:
    entry().publish(filled(tmp_path, "1a", 3.0), tmp_path)

    def refuse(*_: object) -> None:
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr(os, "utime", refuse)
    assert entry().is_whole(tmp_path)


def test_a_mapped_entry_stays_readable_when_it_is_deleted(tmp_path: Path) -> None:
    entry().publish(filled(tmp_path, "1a", 3.0), tmp_path)
    tensors = entry().mapped(tmp_path / KEY)
    shutil.rmtree(tmp_path / KEY)
    assert bool((tensors[1] == 3.0).all())


def test_an_unfinished_entry_is_no_entry_and_goes_when_no_run_holds_it(tmp_path: Path) -> None:
    folder = filled(tmp_path, "1a", 1.0)
    before = time.time() - store.STARTED_SECONDS - 1
    assert not entry().is_in(tmp_path) and not list(store.entries(tmp_path))
    assert store.sweep(tmp_path) == (0, 0)  # it was just made
    with held(folder):
        os.utime(folder, (before, before))
        assert store.sweep(tmp_path) == (0, 0)
    assert store.sweep(tmp_path) == (1, entry().size)
    assert not folder.exists()


def test_an_entry_that_says_nothing_of_itself_goes(tmp_path: Path) -> None:
    entry().publish(filled(tmp_path, "1a", 1.0), tmp_path)
    assert store.sweep(tmp_path) == (0, 0)
    said = json.loads((tmp_path / KEY / store.META).read_text())
    for wrong in ({"bytes": None}, {"about": 5}, {"about": {**said["about"], "cut": None}}, {"about": {}}):
        (tmp_path / KEY / store.META).write_text(json.dumps(said | wrong))
        assert not list(store.entries(tmp_path)), wrong
    (tmp_path / KEY / store.META).write_text("{")
    assert not list(store.entries(tmp_path))
    assert [folder.name for folder, _ in store.remains(tmp_path)] == [KEY]
    assert store.sweep(tmp_path)[0] == 1 and not list(tmp_path.iterdir())


def test_what_others_have_put_into_the_folder_stays(tmp_path: Path) -> None:
    before = time.time() - 10 * store.STARTED_SECONDS
    for name in ("backup.tmp", "thesis", KEY[:10]):
        (tmp_path / name).mkdir()
        (tmp_path / name / store.META).write_text('{"bytes": 1, "about": {}}')
        os.utime(tmp_path / name / store.META, (before, before))
        os.utime(tmp_path / name, (before, before))
    store.sweep(tmp_path)
    assert not list(store.entries(tmp_path))
    assert len(list(tmp_path.iterdir())) == 3


def test_the_least_recently_used_make_room(tmp_path: Path) -> None:
    keys = [f"{number}" * 64 for number in range(4)]
    for age, key in zip((3, 9, 1, 5), keys, strict=True):
        folder = entry(key).unfinished(tmp_path, "1a", node=0)
        entry(key).make_files(folder)
        entry(key).publish(folder, tmp_path)
        os.utime(tmp_path / key / store.META, (time.time() - age, time.time() - age))
    size = entry().size
    (mapped, _) = entry(keys[1]).mapped(tmp_path / keys[1])
    assert store.make_room(tmp_path, size, 5 * size, []) == (0, 0)
    assert store.make_room(tmp_path, size, 4 * size, []) == (1, size)  # the one of age 9
    assert bool((mapped == 0).all())
    assert store.make_room(tmp_path, size, 3 * size, [keys[3]]) == (1, size)  # of the others that of age 3
    assert [folder.name for folder, _ in store.by_use(tmp_path)] == [keys[3], keys[2]]


def test_a_finished_entry_is_only_read(tmp_path: Path) -> None:
    entry().publish(filled(tmp_path, "1a", 1.0), tmp_path)
    entry().mapped(tmp_path / KEY)[0].fill_(7.0)
    assert entry().is_whole(tmp_path)


def test_an_entry_of_other_sizes_is_damaged(tmp_path: Path) -> None:
    entry().publish(filled(tmp_path, "1a", 1.0), tmp_path)
    larger = Entry(KEY, [(50, 3), (5, 2, 2)], entry().dtypes, {})
    assert not larger.is_whole(tmp_path) and not larger.is_in(tmp_path)


def test_a_disk_without_room_is_left_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left"):
        entry().make_files(tmp_path / "x")
    assert not list(tmp_path.iterdir())


def test_free_memory_is_within_the_machines(tmp_path: Path) -> None:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 0 < store.free_memory(shared=False) <= total
    assert store.free_memory(shared=True) <= store.free_memory(shared=False) * 1.1
    assert store.free_disk(tmp_path / "not" / "yet") == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.01)


def test_what_is_small_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def make() -> list[torch.Tensor]:
        made.append(1)
        return [torch.arange(3.0) / 7]

    small = Entry(KEY, [(3,)], [torch.float32], entry().about)
    for root, count in ((None, 1), (tmp_path / "new" / "er", 2), (tmp_path / "new" / "er", 2), (None, 3)):
        (found,) = store.once(small, root, make)
        assert torch.equal(found, torch.arange(3.0) / 7) and len(made) == count
    (tmp_path / "new" / "er" / KEY / "0.bin").write_bytes(bytes(12))  # damaged
    assert torch.equal(store.once(small, tmp_path / "new" / "er", make)[0], torch.arange(3.0) / 7) and len(made) == 4
    monkeypatch.setattr(os, "posix_fallocate", lambda *what: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
    assert torch.equal(store.once(small, tmp_path / "full", make)[0], torch.arange(3.0) / 7)
    assert not list((tmp_path / "full").glob("*"))
