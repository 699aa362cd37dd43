"""Where there is room: to the byte, and in the order that is wanted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from cnntrain.core import dist, store
from cnntrain.core.store import About, Entry
from cnntrain.data.batches.room import DISK, RAM, Room, fits_device

ABOUT: About = {"model": None, "data": "photos", "part": "train", "cut": [], "views": 1}
ONE, OTHER = (Entry(letter * 64, [(100,)], [torch.uint8], ABOUT) for letter in "ab")  # of 100 bytes each


@pytest.fixture
def room(tmp_path: Path) -> Callable[..., Room]:
    def make(budget: str = "1KB", ram: int = 10**6, disk: int = 10**6) -> Room:
        return Room(tmp_path / "kept", "cache_dir", "budget", budget, lambda shared: ram, lambda folder: disk)

    return make


def put(entry: Entry, root: Path) -> None:
    folder = entry.unfinished(root, "1a", 0)
    entry.make_files(folder)
    entry.publish(folder, root)


@pytest.mark.parametrize(
    ("settings", "wanted", "place"),
    [
        ({"ram": 400}, (RAM, DISK), RAM),  # half of it
        ({"ram": 399}, (RAM, DISK), DISK),
        ({"ram": 399}, (RAM,), None),
        ({"disk": 223}, (DISK, RAM), DISK),  # nine tenths
        ({"disk": 222}, (DISK, RAM), RAM),
        ({"budget": "200B"}, (RAM,), RAM),
        ({"budget": "199B"}, (RAM, DISK), None),
    ],
)
def test_the_first_place_that_has_room_for_all_is_taken(
    room: Callable[..., Room], settings: dict[str, Any], wanted: tuple[str, ...], place: str | None, tmp_path: Path
) -> None:
    made = replace(room(**settings), root=tmp_path / "new" / "kept")
    for _ in range(2):
        assert made.place([ONE, OTHER], wanted)[0] == place


def test_what_is_said_of_it(room: Callable[..., Room], tmp_path: Path) -> None:
    assert room().place([ONE], (RAM,)) == (RAM, "of 976.6 KiB free")
    assert room(budget="150B").place([ONE, OTHER], (RAM,)) == (None, "200 B, more than budget=150B")
    none = room(ram=100, disk=50).place([ONE], (RAM, DISK))
    assert none == (None, "100 B, too much for 100 B of free ram and too much for 50 B of free disk")
    (tmp_path / "kept").rmdir()
    (tmp_path / "kept").write_text("")
    none = room(ram=100).place([ONE], (DISK, RAM))
    why = f"{tmp_path / 'kept'} cannot be written (File exists): choose cache_dir"
    assert none == (None, f"100 B, {why} and too much for 100 B of free ram")


def test_what_is_on_disk_needs_no_room_where_all_of_it_is_there(room: Callable[..., Room], tmp_path: Path) -> None:
    put(ONE, tmp_path / "kept")
    full = room(budget="50B", ram=0, disk=0)
    assert full.place([ONE], (RAM, DISK)) == (DISK, f"found in {tmp_path / 'kept'}")
    assert full.place([ONE], (RAM,))[0] is None
    assert full.place([ONE, OTHER], (RAM, DISK))[0] is None


def test_the_memory_that_processes_share_is_asked_for_where_there_are_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    room = Room(tmp_path, "cache_dir", "budget", "1KB", lambda shared: asked.append(shared) or 10**6)
    for processes in (1, 2):
        monkeypatch.setattr(dist, "local_world_size", lambda processes=processes: processes)
        room.place([ONE], (RAM,))
    assert asked == [False, True]


def test_room_is_made_for_what_is_new_by_the_first_process_of_a_machine(
    room: Callable[..., Room], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, said = tmp_path / "kept", list[str]()
    put(ONE, root)
    room("150B").make([ONE], said.append)  # it is there: nothing is needed
    room("200B").make([OTHER], said.append)  # both fit
    monkeypatch.setattr(dist, "local_rank", lambda: 1)
    room("150B").make([OTHER], said.append)
    assert said == [] and ONE.is_in(root)
    monkeypatch.setattr(dist, "local_rank", lambda: 0)
    room("150B").make([ONE, OTHER], said.append)  # nor does what is kept go for what comes with it
    assert said == [] and ONE.is_in(root)
    room("150B").make([OTHER], said.append)
    assert said == ["  deleted 1 entries that were not used for longest, 100 B: budget=150B"]
    assert not list(store.entries(root))


def test_half_of_what_a_gpu_has_free_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (200, 10**6))
    cuda = torch.device("cuda", 0)
    assert fits_device(100, cuda) and not fits_device(101, cuda)
    assert not fits_device(1, torch.device("cpu"))
