"""Which checkpoints are kept, and which one a run goes on from whatever was damaged."""

from __future__ import annotations

from pathlib import Path

import pytest
from contents import content

from cnntrain.core.errors import InputError
from cnntrain.core.files import link
from cnntrain.runs import checkpoint, generations

LAST, BEST = checkpoint.LAST, checkpoint.BEST


def write(folder: Path, epoch: int, best: int, keep: int = 2) -> None:
    """As `Saver` does: the best epoch is one file with two names."""
    state = content(progress={"epoch": epoch, "step": 3 * epoch, "best": {"epoch": best}})
    generations.keep(folder, keep)
    if epoch == best:
        checkpoint.save(folder / BEST, state)
        link(folder / BEST, folder / LAST)
    else:
        checkpoint.save(folder / LAST, state)


def epochs(folder: Path) -> tuple[int, int]:
    last, best = (checkpoint.load(folder / name)["progress"]["epoch"] for name in (LAST, BEST))
    return last, best


def read(folder: Path) -> tuple[int, list[str]]:
    state, notes = generations.load(folder)
    assert state is not None
    assert epochs(folder) == (state["progress"]["epoch"], state["progress"]["best"]["epoch"])
    return state["progress"]["epoch"], notes


def damage(path: Path) -> None:
    with open(path, "r+b") as file:  # whatever names it has
        file.truncate(path.stat().st_size - 99)


def test_so_many_pairs_are_kept_without_a_copy(tmp_path: Path) -> None:
    for keep, held in ((1, []), (2, [3]), (4, [4, 3, 2]), (3, [5, 4]), (1, [])):
        for epoch in range(1, 5) if keep < 3 else [max(held) + 1]:
            write(tmp_path, epoch, 1 if epoch < 4 else epoch, keep)
        found = [epochs(each)[0] for each in generations.older(tmp_path)]
        assert found[: len(held)] == held[: len(found)] and len(found) <= keep - 1, keep
    write(tmp_path, 7, 7)
    before = (tmp_path / LAST).stat().st_ino
    write(tmp_path, 8, 8)
    (older,) = generations.older(tmp_path)
    assert (older / LAST).stat().st_ino == (older / BEST).stat().st_ino == before


@pytest.mark.parametrize("best", [1, 2])  # its file is that of last.ckpt, or another
@pytest.mark.parametrize("name", [LAST, BEST])
def test_whatever_is_damaged_the_pair_before_is_taken(tmp_path: Path, name: str, best: int) -> None:
    assert generations.load(tmp_path) == (None, [])
    write(tmp_path, 1, 1, keep=3)
    write(tmp_path, 2, best, keep=3)
    write(tmp_path, 3, 3, keep=3)
    assert read(tmp_path) == (3, [])
    damage(tmp_path / name)
    epoch, (note,) = read(tmp_path)
    assert (
        epoch == 2 and str(tmp_path / LAST) in note and note.endswith("the checkpoint before it is taken, of epoch 2")
    )
    assert read(tmp_path) == (2, [])
    write(tmp_path, 3, 3, keep=3)
    damage(tmp_path / name)
    damage(generations.older(tmp_path)[0] / name)
    expected = 1 if best == 2 or name == LAST else None
    if expected is None:  # the damaged best is the first's too
        with pytest.raises(InputError, match=r"damaged|cannot be read"):
            generations.load(tmp_path)
    else:
        assert read(tmp_path)[0] == expected


def test_a_kill_between_the_two_files_loses_no_best(tmp_path: Path) -> None:
    write(tmp_path, 1, 1)
    write(tmp_path, 2, 1)
    generations.keep(tmp_path, 2)
    checkpoint.save(tmp_path / BEST, content(progress={"epoch": 3, "step": 9, "best": {"epoch": 3}}))
    epoch, (note,) = read(tmp_path)
    assert epoch == 2 and epochs(tmp_path) == (2, 1)
    assert f"{tmp_path / BEST} is of epoch 3, {tmp_path / LAST} names epoch 1" in note


def test_without_an_older_one_damage_is_named(tmp_path: Path) -> None:
    write(tmp_path, 1, 1)
    damage(tmp_path / LAST)
    with pytest.raises(InputError, match=r"last\.ckpt cannot be read as tensors"):
        generations.load(tmp_path)
