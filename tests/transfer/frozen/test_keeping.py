"""What is kept where and under which key, asked of the parts; whole runs are in test_phase.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from cnntrain.core.errors import ConfigError
from cnntrain.core.store import Entry
from cnntrain.data.batches.room import DISK, OFF, RAM, Room
from cnntrain.transfer.frozen import keeping

CPU = torch.device("cpu")


def policy(**changes: Any) -> Any:
    given = {"cache": "auto", "cache_dtype": "computed", "views": None, "cache_budget": "1GB", "cache_dir": None}
    return SimpleNamespace(**{**given, **changes})


def cut(**changes: Any) -> Any:
    given = {"key": "ab", "names": ["add", "mul"], "shapes": [torch.Size([3]), torch.Size([2, 2])],
             "dtypes": [torch.float32, torch.float64]}  # fmt: skip
    return SimpleNamespace(**{**given, **changes})


def loader(**changes: Any) -> Any:
    given = {"samples": range(5), "dense": None, "varied": None, "packing": None, "is_packed": False}
    return SimpleNamespace(**{**given, **changes})


def around(train: Any = None, **changes: Any) -> Any:
    given = {
        "loaders": {"train": train or loader(), "val": loader(samples=range(2))}, "depends_on": {"seed": 0},
        "batch_size": 4, "device": CPU, "model": "lenet5", "data": "fake", "augment": "flip_crop", "is_random": False,
    }  # fmt: skip
    return SimpleNamespace(**{**given, **changes})


@pytest.fixture
def room(tmp_path: Path) -> Callable[..., Room]:
    return lambda ram, disk: Room(tmp_path, "d", "b", "1GB", lambda shared: ram, lambda folder: disk)


ENTRY = Entry("ab" * 32, [(100,)], [torch.uint8], {})  # type: ignore[typeddict-item]


@pytest.mark.parametrize(
    ("settings", "ram", "disk", "place"),
    [
        ({}, 10**6, 10**6, RAM),
        ({}, 0, 10**6, DISK),
        ({}, 0, 0, OFF),
        ({"cache": RAM}, 10**6, 0, RAM),
        ({"cache": DISK}, 10**6, 10**6, DISK),
        ({"cache": OFF}, 10**6, 10**6, OFF),
        ({"views": 2}, 10**6, 0, RAM),
    ],
)
def test_the_place_is_the_one_that_is_asked_for_or_the_first_that_has_room(
    settings: dict[str, Any], ram: int, disk: int, place: str, room: Callable[..., Room]
) -> None:
    found, why = keeping._place(policy(**settings), [ENTRY], room(ram, disk))
    assert found == place
    if place == OFF:
        wanted = "transfer.cache=off" if settings else "the activations take 100 B, too much for 0 B of free ram and"
        assert why.startswith(wanted)
    else:
        assert why == "of 976.6 KiB free"


@pytest.mark.parametrize(
    ("settings", "key"),
    [({"cache": RAM}, "cache=ram"), ({"cache": DISK}, "cache=disk"), ({"views": 2}, "views=2"),
     ({"cache": RAM, "views": 3}, "views=3")],
)  # fmt: skip
def test_what_is_asked_for_and_has_no_room_is_an_error(
    settings: dict[str, Any], key: str, room: Callable[..., Room]
) -> None:
    with pytest.raises(ConfigError, match=rf"^transfer\.{key}: the activations take 100 B, too much"):
        keeping._place(policy(**settings), [ENTRY], room(0, 0))


@pytest.mark.parametrize(
    ("before", "place", "expected", "notes"),
    [
        (None, RAM, (RAM, "why"), 0),
        ({"key": "of another cut", "place": OFF}, RAM, (RAM, "why"), 0),
        ({"key": "ab", "place": OFF}, RAM, (OFF, "as before the interruption"), 0),
        ({"key": "ab", "place": OFF}, OFF, (OFF, "as before the interruption"), 0),
        ({"key": "ab", "place": RAM}, DISK, (DISK, "why"), 0),
        ({"key": "ab", "place": RAM}, OFF, (OFF, "why"), 1),
        ({"key": "of another cut", "place": RAM}, OFF, (OFF, "why"), 0),
    ],
)
def test_a_resumed_run_keeps_as_before_or_says_that_it_does_not(
    before: Any, place: str, expected: tuple[str, str], notes: int
) -> None:
    said: list[str] = []
    assert keeping._as_before(before, cut(), around(say=said.append), place, "why") == expected
    inexact = "note: activations were kept before and are not now (why): this resume is inexact"
    assert said == [inexact] * notes


def entry(a_cut: Any = None, a_policy: Any = None, weights: str = "cd", views: int = 1, **changes: Any) -> Entry:
    return keeping._entry(a_cut or cut(), a_policy or policy(), around(**changes), weights, "train", views)


def test_an_entry_has_a_row_for_each_view_of_each_image() -> None:
    found = entry(views=3)
    assert found.shapes == [(15, 3), (15, 2, 2)] and found.dtypes == [torch.float32, torch.float64]
    assert found.about == {"model": "lenet5", "data": "fake", "part": "train", "cut": ["add", "mul"], "views": 3}
    half = entry(a_policy=policy(cache_dtype="float16"))
    assert half.dtypes == [torch.float16] * 2
    assert entry(a_policy=policy(cache_dtype="bfloat16")).dtypes == [torch.bfloat16] * 2


def test_the_key_is_of_everything_that_the_values_depend_on() -> None:
    packing = SimpleNamespace(side=12)
    packed = [loader(packing=packing, is_packed=each) for each in (False, True)]
    wider = loader(packing=SimpleNamespace(side=13), is_packed=True)
    seeds = [loader(varied=SimpleNamespace(seed=each)) for each in (1, 2)]
    found = [
        entry(),
        entry(a_cut=cut(key="ef")),
        entry(a_cut=cut(shapes=[torch.Size([3]), torch.Size([4])])),
        entry(a_cut=cut(dtypes=[torch.float32, torch.float32])),
        entry(weights="gh"),
        entry(train=loader(samples=range(6))),
        entry(train=seeds[0], views=2),
        entry(train=seeds[0]),
        entry(train=seeds[1]),
        entry(train=packed[1]),
        entry(train=wider),
        entry(batch_size=8),
        entry(depends_on={"seed": 1}),
        entry(device=torch.device("cuda")),
        keeping._entry(cut(), policy(), around(), "cd", "val", 1),
    ]
    assert len({each.key for each in found}) == len(found)
    assert entry(model="renamed", data="renamed").key == entry(train=packed[0]).key == found[0].key  # not for people


def test_what_becomes_of_the_values_is_told() -> None:
    said: list[str] = []

    def told(place: str, why: str, parts: tuple[str, ...], views: int | None = None, **more: Any) -> list[str]:
        said.clear()
        entries = {part: keeping._entry(cut(), policy(), around(), "cd", part, views or 1) for part in parts}
        keeping._say(cut(), policy(views=views), around(say=said.append, **more), entries, place, why)
        assert said[0] == "frozen up to add, mul [3] + [2, 2]"
        return said[1:]

    both, sizes = ("train", "val"), "train 5 and val 2, 308 B of float32, float64"
    assert told(RAM, "of 1 B free", both) == [f"  computed once for {sizes} kept in ram: of 1 B free"]
    assert told(DISK, "found in x", both) == [f"  computed before for {sizes} kept in disk: found in x"]
    assert told(OFF, "transfer.cache=off", both) == ["  not kept: transfer.cache=off"]
    lines = told(RAM, "of 1 B free", ("val",), is_random=True)
    assert lines[0].startswith("  computed for each batch: augment=flip_crop is random (transfer.views=<n> keeps")
    assert lines[1].startswith("  computed once for val 2, ")
    lines = told(RAM, "of 1 B free", both, 2, is_random=True)
    assert lines[0] == "  transfer.views=2 is an approximation: no image is seen in more than 2 ways"
    assert lines[1].startswith("  computed once for train 10 and val 4, ")
