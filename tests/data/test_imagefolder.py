from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cnntrain.core.errors import ConfigError, InputError
from cnntrain.core.words import normalised
from cnntrain.data.base import Reading
from cnntrain.data.sets.decode import decode
from cnntrain.data.sets.subset import reduced


def fill(root: Path, draw: Callable[..., Path], counts: dict[str, int]) -> None:
    for folder, count in counts.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            draw(root / folder / f"{index:02}.png", index)


@pytest.fixture
def load(tmp_path: Path, make: Callable[..., Any]) -> Callable[..., Any]:
    return lambda **changes: make("imagefolder", root=str(tmp_path), **changes).load()


@pytest.fixture
def tree(tmp_path: Path, draw: Callable[..., Path]) -> Callable[..., Path]:
    def plant(**counts: int) -> Path:
        fill(tmp_path, draw, {name.replace("__", "/"): count for name, count in counts.items()})
        return tmp_path

    return plant


def names(data: Any, part: str) -> dict[str, str]:
    """Class name by id, which is what must come out whatever the numbers are."""
    samples = getattr(data, part)
    return {id_: data.classes[label] for id_, label in zip(samples.ids, samples.labels, strict=True)}


def test_parts_keep_their_images_and_classes_keep_their_names(tree: Any, load: Any) -> None:
    tree(train__b=2, train__a=1, train__c=1, val__c=2, val__b=1, test__a=1)
    data = load()
    assert data.classes == ["a", "b", "c"]
    assert list(data.train.ids) == ["train/a/00.png", "train/b/00.png", "train/b/01.png", "train/c/00.png"]
    assert names(data, "val") == {"val/b/00.png": "b", "val/c/00.png": "c", "val/c/01.png": "c"}
    assert names(data, "test") == {"test/a/00.png": "a"}
    assert data.native_size is None
    assert data.train.labels.dtype == np.int64
    assert data.train.images[2].tolist() == [[[1] * 5] * 4] * 3
    assert len(data.train.images) == len(data.train) == 4


@pytest.mark.parametrize("spelling", ["val", "valid", "validation", "Val"])
def test_spellings_of_val(tree: Any, load: Any, spelling: str) -> None:
    tree(Train__a=1, Train__b=1, **{f"{spelling}__a": 1})
    assert len(load().val) == 1


def test_val_is_carved_from_train_and_never_from_test(tree: Any, load: Any) -> None:
    tree(train__a=20, train__b=20, test__a=7, test__b=3)
    data = load()
    assert (len(data.train), len(data.val), len(data.test)) == (36, 4, 10)
    assert all(id_.startswith("train/") for id_ in [*data.train.ids, *data.val.ids])
    assert set(names(data, "val").values()) == {"a", "b"}
    assert len(load(split=[0.5, 0.5]).val) == 20
    with pytest.raises(InputError, match="two fractions"):
        load(split=[0.6, 0.2, 0.2])


def test_train_alone_may_be_cut_in_two_or_three(tree: Any, load: Any) -> None:
    tree(train__a=20, train__b=20)
    assert load().test is None
    assert [len(getattr(load(split=[0.5, 0.25, 0.25]), part)) for part in ("train", "val", "test")] == [
        20,
        10,
        10,
    ]


def test_class_folders_at_the_root_are_split(tree: Any, load: Any) -> None:
    tree(a=20, b=30)
    data = load()
    assert (len(data.train), len(data.val), len(data.test)) == (30, 10, 10)
    everything = [*data.train.ids, *data.val.ids, *data.test.ids]
    assert sorted(everything) == sorted(set(everything))
    assert len(everything) == 50
    assert load(split=[0.8, 0.2]).test is None


def test_split_beside_own_parts_is_refused(tree: Any, load: Any) -> None:
    tree(train__a=1, train__b=1, val__a=1)
    with pytest.raises(InputError, match=r"data\.split=\[0\.9, 0\.1\] must be null"):
        load(split=[0.9, 0.1])


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (
            {"train__a": 1, "train__b": 1, "val__zebra": 1},
            "val part has classes that the train part lacks: 'zebra'",
        ),
        ({"train__a": 1, "train__b": 0, "val__a": 1}, "class folders without images: 'b'$"),
        ({"train__a": 1, "train__b": 1, "val__a": 0}, "the val part has no images"),
        ({"train__a": 1, "val__a": 1}, "at least two classes, but only 'a'"),
        ({"val__a": 1, "test__a": 1}, "has 'test', 'val' but no 'train'"),
        ({"train": 2, "val": 2}, "train: holds no class folders"),
        ({"train__a": 1, "val__a": 1, "valid__a": 1}, "both 'val' and 'valid'"),
        ({"train": 3}, "only 'train' was found"),
    ],
)
def test_what_is_wrong_is_named(tree: Any, load: Any, counts: dict[str, int], message: str) -> None:
    tree(**counts)
    with pytest.raises(InputError, match=message):
        load()


def test_a_class_called_train(tree: Any, load: Any) -> None:
    tree(train=10, bus=10)
    assert load().classes == ["bus", "train"]


def test_empty_root_and_missing_root(tmp_path: Path, load: Any, make: Any) -> None:
    with pytest.raises(InputError, match="holds no class folders"):
        load()
    with pytest.raises(InputError, match=r"data\.root: .*nowhere: No such file"):
        make("imagefolder", root=str(tmp_path / "nowhere")).load()


@pytest.mark.parametrize(
    ("change", "message"), [({"root": None}, "root is required"), ({"download": True}, "download")]
)
def test_keys_are_checked(make: Any, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make("imagefolder", **{"root": "x", **change})


def test_what_is_left_out_is_counted_and_folders_below_are_read(tree: Any, load: Any, draw: Any) -> None:
    root = tree(train__a=1, train__b=1, val__a=1)
    draw(root / "train/a/.hidden.png")
    draw(root / "train/.cache/x.png")
    (root / "train/a/Thumbs.db").write_bytes(b"x")
    (root / "train/b/notes.txt").write_text("x")
    draw(root / "train/b/deep/er/x.jpg").rename(root / "train/b/deep/er/x.JPG")
    data = load()
    assert list(data.train.ids) == ["train/a/00.png", "train/b/00.png", "train/b/deep/er/x.JPG"]
    (root / "train/b/x.JPG_large").touch()
    (root / "train/lost.png").touch()
    (root / "val/a/README").touch()
    (root / "about.txt").touch()
    (root / "more").mkdir()
    assert load().notes == [
        f"left out of {root}: 2 beside the folders of the parts; 2 hidden; 1 beside the folders of the classes; "
        "4 without the extension of an image (1 .db, 1 .txt, 1 .JPG_large, 1 with none)"
    ]
    shutil.rmtree(root)
    tree(a=1, b=0)
    (root / "b/x.JPG_large").touch()
    with pytest.raises(InputError, match=r"without images: 'b'; left out of .*\(1 \.JPG_large\)$"):
        load(split=[0.5, 0.5])


def test_every_format_that_pillow_reads_is_taken(tree: Any, load: Any) -> None:
    root = tree(a=1, b=2)
    shown = Image.new("RGB", (6, 4), (200, 10, 90))
    names = ("x.jfif", "x.gif", "x.avif", "x.jpe", "x.jp2", "x.jpeg", "x.bmp", "x.webp", "x.tga", "x.TIFF", "x.qoi")
    for name in names:
        shown.save(root / "a" / name)
    (root / "a/x.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0")  # a program
    (root / "a/x.h5").touch()
    data = load(split=[0.5, 0.5])
    ids = [*data.train.ids, *data.val.ids]
    assert {each.removeprefix("a/") for each in ids if "x." in each} == set(names)
    assert all(data.train.images[index].shape[0] == 3 for index in range(len(data.train)))
    assert "2 without the extension of an image (1 .eps, 1 .h5)" in data.notes[0]
    (root / "a/x.eps").rename(root / "a/x.png")
    with pytest.raises(InputError, match="the format is unknown"):
        decode(str(root / "a/x.png"), Reading(3, "white"))


def test_names_that_look_alike_are_one_class(tree: Any, load: Any, draw: Any) -> None:
    composed, apart = "caf\u00e9", "cafe\u0301"
    root = tree(train__b=2, val__b=1)
    for number, name in enumerate((composed, apart, f"{composed} ")):
        draw(root / "train" / name / f"{number}.png")
    draw(root / "val" / apart / "x.png")
    data = load()
    assert data.classes == ["b", composed]
    assert len(data.train) == 5 and data.val.labels.tolist() == [0, 1]
    said = "one class, though written differently: 'cafe\\u0301' and 'caf\\xe9' and 'caf\\xe9 '"
    assert data.notes == [said]
    assert reduced(data, ["b ", apart], None, 0).classes == data.classes


def test_a_file_that_links_put_in_two_parts_is_an_error(tree: Any, load: Any) -> None:
    root = tree(train__a=2, train__b=1, val__a=1)
    (root / "train/a/again.png").symlink_to(root / "train/a/00.png")
    assert len(load().train) == 4  # shown twice in training, as its owner wants
    (root / "val/a/link.png").symlink_to(root / "train/a/01.png")
    with pytest.raises(InputError, match=r"train/a/01\.png \(train\) and val/a/link\.png \(val\) are one file"):
        load()
    (root / "val/a/link.png").unlink()
    os.link(root / "train/b/00.png", root / "val/a/link.png")
    with pytest.raises(InputError, match=r"train/b/00\.png \(train\) and val/a/link\.png \(val\) are one file"):
        load()


def test_links_are_followed_but_not_in_circles(tree: Any, load: Any, tmp_path_factory: Any, draw: Any) -> None:
    root = tree(train__a=1, train__b=1, val__a=1)
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    draw(elsewhere / "x.png")
    (root / "train/c").symlink_to(elsewhere)
    (root / "train/a/loop").symlink_to(root / "train")
    (root / "train/b/self").symlink_to(root / "train/b/self")
    data = load()
    assert data.classes == ["a", "b", "c"]
    assert names(data, "train")["train/c/x.png"] == "c"
    assert len(set(data.train.ids)) == len(data.train.ids)


def test_a_link_to_nothing_is_named(tree: Any, load: Any) -> None:
    root = tree(train__a=1, train__b=1, val__a=1)
    (root / "train/a/x.png").symlink_to(root / "gone.png")
    with pytest.raises(InputError, match=r"a/x\.png: is not a file"):
        load()
    (root / "train/a/x.png").unlink()
    (root / "train/a/x.png").symlink_to("x.png")
    with pytest.raises(InputError, match=r"a/x\.png: Too many levels"):
        load()
    (root / "train/a/x.png").unlink()
    os.mkfifo(root / "train/a/x.png")
    with pytest.raises(InputError, match=r"a/x\.png: is not a file"):
        load()


def test_the_fingerprint_knows_the_files_and_not_the_place(tree: Any, load: Any, make: Any, draw: Any) -> None:
    root = tree(train__a=3, train__b=3, val__a=1)
    first = load().fingerprint
    copy = root.with_name(root.name + "-copy")
    shutil.copytree(root, copy)
    assert make("imagefolder", root=str(copy)).load().fingerprint == first
    draw(copy / "train/a/03.png")
    assert make("imagefolder", root=str(copy)).load().fingerprint != first
    shutil.rmtree(copy)
    (root / "val/a/00.png").rename(root / "val/a/renamed.png")
    assert load().fingerprint != first


def test_an_image_of_another_time_is_told_apart_where_that_matters(tree: Any, load: Any) -> None:
    root = tree(train__a=2, train__b=2, val__a=1)
    first = load()
    os.utime(root / "train/b/01.png", (1, 1))
    assert load().modified != first.modified
    assert load().fingerprint == first.fingerprint


def test_a_relative_root_outlives_a_change_of_folder(
    tree: Any, make: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tree(train__a=1, train__b=1, val__a=1)
    monkeypatch.chdir(tmp_path.parent)
    data = make("imagefolder", root=tmp_path.name).load()
    monkeypatch.chdir("/")
    images = pickle.loads(pickle.dumps(data.train.images))  # as for a worker process
    assert images[0].shape == (3, 4, 5)


@given(
    classes=st.lists(
        st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="/"), min_size=1, max_size=20)
        .map(lambda text: "c" + text)
        .filter(lambda text: len(text.encode()) < 200),
        min_size=2,
        max_size=4,
        unique_by=lambda name: normalised(name).casefold(),
    )
)
@settings(deadline=None, max_examples=20)
def test_any_class_name_survives(make: Callable[..., Any], tmp_path_factory: Any, classes: list[str]) -> None:
    root = tmp_path_factory.mktemp("unicode")
    for name in classes:
        for index in range(4):
            path = root / name / f"{index}.png"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"never decoded")
    data = make("imagefolder", root=str(root), split=[0.5, 0.5]).load()
    assert data.classes == sorted(map(normalised, classes))
    for part in (data.train, data.val):
        assert [normalised(id_.split("/")[0]) for id_ in part.ids] == [data.classes[label] for label in part.labels]
