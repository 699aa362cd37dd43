from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from cnntrain.core import dist, store
from cnntrain.core.errors import RunError, StopError
from cnntrain.core.lock import in_use
from cnntrain.core.store import About, Entry
from cnntrain.data.batches import filling
from cnntrain.data.batches.filling import Filler
from cnntrain.data.batches.plan import Plan

ABOUT: About = {"model": None, "data": "photos", "part": "train", "cut": [], "views": 2}
ENTRY = Entry("ab" * 32, [(5, 3)], [torch.float32], ABOUT)
# two views of five samples: of each three numbers and one whole number
BOTH = Entry("cd" * 32, [(10, 3), (10,)], [torch.float32, torch.int32], ABOUT)


def values(plan: Plan) -> Iterator[tuple[Tensor, ...]]:
    """A sample's position, its view a hundred times, and a third of it."""
    for positions in plan:
        first = positions + 100.0 * plan.epoch
        yield torch.stack([first, first + 0.5, first / 3], dim=1), (positions + 7 * plan.epoch).int()


def expected() -> list[Tensor]:
    positions = torch.arange(5).repeat(2)
    view = torch.arange(2).repeat_interleave(5)
    first = positions + 100.0 * view
    return [torch.stack([first, first + 0.5, first / 3], dim=1), (positions + 7 * view).int()]


def filler(**changes: Any) -> Filler:
    made = Filler(5, 2, values, "the activations", "choose another folder", print, lambda: None)
    return replace(made, **changes)


def same(found: list[Tensor], other: list[Tensor]) -> bool:
    return all(torch.equal(one, two) for one, two in zip(found, other, strict=True))


class Ranks:
    """This process stands for one of several of a machine, of which the others agree."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
        self.number = 0
        self.met = 0
        monkeypatch.setattr(dist, "local_rank", lambda: self.number)
        monkeypatch.setattr(dist, "local_world_size", lambda: count)
        monkeypatch.setattr(dist, "barrier", self.meet)

    def meet(self) -> None:
        self.met += 1


@pytest.fixture
def ranks(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Ranks]:
    return lambda count: Ranks(monkeypatch, count)


def test_machines_of_unequally_many_processes_take_the_same_way(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One that is alone on its machine takes part in what the others agree on."""
    monkeypatch.setattr(store, "SHARED_MEMORY", tmp_path)
    monkeypatch.setattr(dist, "largest", lambda number: 2 * number)
    with filler()._space(ENTRY, None) as (tensors, folder):
        assert folder is not None and [each.shape for each in tensors] == [(5, 3)]
        assert not list(tmp_path.iterdir())  # what is mapped stays, and a kill would leave nothing
        tensors[0].fill_(3.0)
    assert tensors[0].eq(3).all()
    monkeypatch.undo()
    with filler()._space(ENTRY, None) as (tensors, folder):
        assert folder is None


def test_another_process_than_the_first_neither_makes_nor_deletes_the_files(
    ranks: Callable[[int], Ranks], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(store, "SHARED_MEMORY", tmp_path)
    of_two = ranks(2)
    of_two.number = 1
    folder = ENTRY.unfinished(tmp_path, "1a", 0)
    ENTRY.make_files(folder)
    monkeypatch.setattr(dist, "from_first", lambda make: "1a")
    with filler()._space(ENTRY, None) as (_, found):
        assert found == folder and of_two.met == 1
    assert folder.exists()


class Clock:
    """A second goes by whenever it is asked how long something took."""

    now = 0.0
    asked = 1000.0

    def monotonic(self) -> float:
        return self.now

    def perf_counter(self) -> float:
        self.asked += 1
        return self.asked


def test_each_view_is_in_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filling, "time", Clock())
    for root in (None, tmp_path / "kept"):
        made = filler()
        assert same(made.tensors(BOTH, root), expected())
        assert made.seconds == 1.0
    assert BOTH.is_whole(tmp_path / "kept") and len(list((tmp_path / "kept").iterdir())) == 1


@pytest.mark.parametrize("count", [2, 3, 4])
def test_the_processes_of_a_machine_fill_what_one_would(ranks: Callable[[int], Ranks], count: int) -> None:
    """Four share three batches: one has nothing to do, and goes along."""
    several, heeded = ranks(count), []
    tensors = BOTH.in_memory()
    for each in tensors:
        each.fill_(-1)
    for number in range(count):
        several.number = number
        calls = len(heeded)
        filler(heed=lambda: heeded.append(1))._compute(BOTH, tensors)
        assert len(heeded) - calls == 2 * -(-3 // count)  # all equally often
    assert same(tensors, expected())
    assert several.met == count


def test_how_far_it_has_come_is_told_every_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, said = Clock(), list[str]()
    monkeypatch.setattr(filling, "time", clock)

    def heed() -> None:
        clock.now += 6.0

    filler(heed=heed, say=said.append)._compute(BOTH, BOTH.in_memory())
    assert said == ["  train: 4 of 10", "  train: 7 of 10", "  train: 10 of 10"]
    said.clear()
    monkeypatch.setattr(filling, "SAY_SECONDS", 6.0)
    filler(heed=heed, say=said.append)._compute(BOTH, BOTH.in_memory())
    assert len(said) == 3  # not yet where it is just so long


def kept(root: Path, change: Callable[[list[Tensor]], Any]) -> None:
    """An entry that holds something else than what is computed, as if its key left something out."""
    BOTH.remove(root)
    folder = BOTH.unfinished(root, "1a", 0)
    BOTH.make_files(folder)
    tensors = BOTH.mapped(folder, fill=True)
    for each, value in zip(tensors, expected(), strict=True):
        each.copy_(value)
    change(tensors)
    BOTH.publish(folder, root)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda tensors: None, True),
        (lambda tensors: tensors[0][:5].mul_(1.015), True),  # other kernels round otherwise
        (lambda tensors: tensors[0][:5].add_(0.06), True),  # 2% of the largest of them, 3.5
        (lambda tensors: tensors[0][0].add_(0.08), False),
        (lambda tensors: tensors[0][3].mul_(1.1), False),
        (lambda tensors: tensors[1][2].add_(1), False),
        (lambda tensors: tensors[0][0, 0].fill_(float("nan")), False),
        (lambda tensors: tensors[0][4:].fill_(50.0), True),  # only the first four are looked at
    ],
)
def test_what_is_found_is_compared_with_what_would_be_computed(
    change: Callable[[list[Tensor]], Any], found: bool, tmp_path: Path
) -> None:
    kept(tmp_path, change)
    assert filler()._is_found(BOTH, tmp_path) is found
    assert BOTH.is_in(tmp_path) == found


@pytest.mark.parametrize("none", [torch.nan, torch.inf, -torch.inf])
def test_what_is_no_number_in_both_is_the_same_and_hides_nothing_else(none: float, tmp_path: Path) -> None:
    def undefined(plan: Plan) -> Iterator[tuple[Tensor, ...]]:
        for numbers, whole in values(plan):
            numbers[:, 1] = none
            yield numbers, whole

    kept(tmp_path, lambda tensors: tensors[0][:, 1].fill_(none))
    assert filler(values=undefined)._is_found(BOTH, tmp_path)
    kept(tmp_path, lambda tensors: tensors[0][:, 1].fill_(none)[0].add_(tensors[0][0, 0].add_(1)))
    assert not filler(values=undefined)._is_found(BOTH, tmp_path)


@pytest.mark.parametrize(("grey", "found"), [(250, True), (246, True), (241, True), (240, False)])
def test_bytes_are_compared_as_numbers(grey: int, found: bool, tmp_path: Path) -> None:
    images = Entry("ef" * 32, [(5, 2)], [torch.uint8], ABOUT)
    black = torch.tensor([0, 250], dtype=torch.uint8)
    filler(values=lambda plan: iter([(black.expand(5, 2),)]), batch_size=5).tensors(images, tmp_path)
    other = torch.tensor([5 if grey == 246 else 0, grey], dtype=torch.uint8)
    made = filler(values=lambda plan: iter([(other.expand(4, 2),)]))
    assert made._is_found(images, tmp_path) is found


def test_what_is_found_costs_no_time_and_what_is_damaged_is_told(tmp_path: Path) -> None:
    said: list[str] = []
    kept(tmp_path, lambda tensors: None)
    made = filler(say=said.append)
    assert same(made.tensors(BOTH, tmp_path), expected()) and made.seconds == 0 and said == []
    kept(tmp_path, lambda tensors: tensors[0].add_(9))
    made = filler(say=said.append)
    assert same(made.tensors(BOTH, tmp_path), expected()) and made.seconds > 0
    assert said == ["  train: what was found is damaged or is not what it was; computed anew"]
    BOTH.remove(tmp_path)
    filler(say=said.append).tensors(BOTH, tmp_path)
    assert len(said) == 1  # nothing was found


def test_a_part_of_fewer_samples_is_looked_at_whole(tmp_path: Path) -> None:
    few = replace(ENTRY, shapes=[(3, 3), (3,)], dtypes=[torch.float32, torch.int32])
    made = filler(count=3)
    made.tensors(few, tmp_path)
    assert made._is_found(few, tmp_path)


def test_a_signal_or_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def heed() -> None:
        raise StopError

    with pytest.raises(StopError):
        filler(heed=heed).tensors(BOTH, tmp_path)
    assert not list(tmp_path.iterdir())

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(RunError, match=r"cannot keep the activations in .*No space left.*; choose another folder"):
        filler().tensors(BOTH, tmp_path)
    assert not list(tmp_path.iterdir())
    monkeypatch.undo()
    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(RunError, match=r"cannot keep the activations in .*No space left.*; choose another folder"):
        filler().tensors(BOTH, tmp_path)
    monkeypatch.undo()
    monkeypatch.setattr(dist, "any_rank", lambda flag: True)
    with pytest.raises(RunError, match="another process of the run cannot write it"):
        filler()._space(ENTRY, tmp_path).__enter__()


def test_a_folder_that_is_being_filled_is_held(tmp_path: Path) -> None:
    with filler()._space(BOTH, tmp_path) as (_, folder):
        assert folder is not None and in_use(folder)
        assert sum(path.stat().st_size for path in folder.glob("*.bin")) == BOTH.size
    assert not folder.exists()


def test_what_killed_runs_have_left_is_swept_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = BOTH.unfinished(tmp_path, "dead", 0)
    BOTH.make_files(left)
    monkeypatch.setattr(store, "STARTED_SECONDS", -1)
    filler().tensors(BOTH, tmp_path)
    assert not left.exists()
