"""What data.group and data.folds make of sources."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cnntrain.core.errors import ConfigError, InputError


@pytest.fixture
def patients(tmp_path: Path, draw: Callable[..., Path]) -> Path:
    """Twelve patients with two images in each of two classes."""
    for label in ("ill", "well"):
        for patient in range(12):
            for view in "ab":
                draw(tmp_path / label / f"p{patient:02}{view}.png", patient)
    return tmp_path


def sides(data: Any, start: int, end: int) -> dict[str, set[str]]:
    return {name: {id_.rpartition("/")[2][start:end] for id_ in part.ids} for name, part in data.parts().items()}


def test_a_folders_groups_stay_together(make: Any, patients: Path) -> None:
    found = make("imagefolder", root=str(patients), group="(p[0-9]+)").load()
    train, val, test = sides(found, 0, 3).values()
    assert not (train & val or train & test or val & test) and len(train | val | test) == 12
    torn = sides(make("imagefolder", root=str(patients)).load(), 0, 3)
    assert torn["train"] & torn["test"]  # so that the test above can fail


def test_folds_of_a_folder_test_each_image_once(make: Any, patients: Path) -> None:
    found = [make("imagefolder", root=str(patients), folds=3, fold=k, group="(p[0-9]+)").load() for k in range(3)]
    tested = [id_ for each in found for id_ in each.test.ids]
    assert len(tested) == len(set(tested)) == 48
    assert len({each.fingerprint for each in found}) == 3
    again = make("imagefolder", root=str(patients), folds=3, fold=1, group="(p[0-9]+)").load()
    assert again.fingerprint == found[1].fingerprint and list(again.test.ids) == list(found[1].test.ids)


def test_an_own_test_part_stays_sealed(make: Any, patients: Path, draw: Any, tmp_path: Path) -> None:
    root = tmp_path / "parted"
    for part, count in (("train", 12), ("test", 4)):
        for label in ("ill", "well"):
            for number in range(count):
                draw(root / part / label / f"{number}.png", number)
    found = make("imagefolder", root=str(root), folds=3, fold=0).load()
    assert all(id_.startswith("train/") for part in found.parts().values() for id_ in part.ids)
    assert [len(part) for part in found.parts().values()] == [14, 2, 8]
    assert any("own test part" in note for note in found.notes)
    with pytest.raises(InputError, match=r"12 of 12 groups are in several parts|4 of 12 groups"):
        make("imagefolder", root=str(root), group="([0-9]+)[.]png").load()
    (root / "test").rename(root / "val")
    with pytest.raises(InputError, match=r"own train and val parts, so data\.folds=3 must be null"):
        make("imagefolder", root=str(root), folds=3, fold=0).load()


def test_a_tables_column_has_the_groups(make: Any, tmp_path: Path, draw: Any) -> None:
    lines = ["path,label,patient"]
    for number in range(40):
        draw(tmp_path / f"{number}.png")
        lines.append(f"{number}.png,{'ab'[number % 2]},{number // 4}")
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    load: Any = lambda **keys: make("csv", root=str(tmp_path), **keys).load()  # noqa: E731
    parts = load(group="patient", folds=5, fold=2).parts()
    groups = [{int(id_.partition(".")[0]) // 4 for id_ in part.ids} for part in parts.values()]
    assert [len(each) for each in groups] == [6, 2, 2] and len(set.union(*groups)) == 10
    with pytest.raises(InputError, match=r"labels\.csv:1: unknown columns 'patient'"):
        load()
    with pytest.raises(InputError, match=r"unknown columns 'patient'"):
        load(group="video")
    with pytest.raises(ConfigError, match="group=label must name a column of its own"):
        load(group="label")
    (tmp_path / "labels.csv").write_text("\n".join(line.rpartition(",")[0] for line in lines))
    with pytest.raises(InputError, match=r"labels\.csv:1: has no column 'patient', which data\.group names"):
        load(group="patient")
    assert len(make("csv", root=str(tmp_path), group="patient").labelled("test").part) == 40  # judged, not divided


def test_folds_of_digits_and_their_fingerprints(make: Any) -> None:
    found = [make("digits", folds=5, fold=k).load() for k in range(5)]
    assert sum(len(each.test) for each in found) == 1797
    assert len({each.fingerprint for each in found} | {make("digits").load().fingerprint}) == 6


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("digits", {"folds": 5}, "fold must be one of 0 to 4, not None: cnntrain -m data.folds=5 data.fold=0,1,2,3,4"),
        ("digits", {"folds": 5, "fold": 5}, "fold must be one of 0 to 4, not 5"),
        ("digits", {"fold": 0}, "fold=0 needs folds"),
        ("digits", {"folds": 1, "fold": 0}, "folds"),
        ("digits", {"group": "digits/[0-9]"}, r"must have one \(group\)"),
        ("digits", {"group": "(a"}, "is no regular expression"),
        ("fake", {"folds": 2, "fold": 0}, "folds has no meaning for data=fake"),
        ("fake", {"group": "(a)"}, "group has no meaning for data=fake"),
        ("webdataset", {"root": "x", "balance": True, "shuffle_window": 9}, "it excludes shuffle_window"),
    ],
)
def test_what_does_not_go_together_is_refused(make: Any, name: str, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        make(name, **changes)
