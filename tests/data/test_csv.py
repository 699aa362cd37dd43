from __future__ import annotations

import csv
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntrain.core.errors import ConfigError, InputError
from cnntrain.core.words import normalised

PRINTABLE = st.characters(exclude_categories=["Cs", "Cc"])
FILE_NAME = st.text(PRINTABLE, min_size=1, max_size=12).map(lambda text: "f" + text.replace("/", "_"))
LABEL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12).filter(
    str.strip
)


@pytest.fixture
def table(tmp_path: Path, make: Callable[..., Any]) -> Callable[..., Any]:
    """Write the text as labels.csv, and files a.png ... h.png; return what loading gives."""

    def load(text: str, encoding: str = "utf-8", **changes: Any) -> Any:
        (tmp_path / "labels.csv").write_bytes(text.encode(encoding))
        for name in "abcdefgh":
            (tmp_path / f"{name}.png").write_bytes(b"not decoded here")
        return make("csv", **{"root": str(tmp_path), **changes}).load()

    return load


def labelled(data: Any, *parts: str) -> dict[str, str]:
    return {
        id_: data.classes[label]
        for part in parts
        for id_, label in zip(getattr(data, part).ids, getattr(data, part).labels, strict=True)
    }


def test_labels_are_text(table: Any) -> None:
    data = table("path,label,split\na.png,007,train\nb.png,7,train\nc.png,7,val\nd.png,007,test\n")
    assert data.classes == ["007", "7"]
    assert labelled(data, "train", "val", "test") == {
        "a.png": "007",
        "b.png": "7",
        "c.png": "7",
        "d.png": "007",
    }
    assert (len(data.train), len(data.val), len(data.test)) == (2, 1, 1)


def test_byte_order_mark_crlf_blank_lines_and_column_order(table: Any) -> None:
    data = table("label,split,path\r\nx,train,a.png\r\n\r\ny,train,b.png\r\nx,val,c.png\r\n", "utf-8-sig")
    assert labelled(data, "train", "val") == {"a.png": "x", "b.png": "y", "c.png": "x"}


def test_labels_that_look_alike_are_one_and_a_link_does_not_make_another_file(table: Any, tmp_path: Path) -> None:
    rows = "path,label,split\na.png,x,train\nb.png,y,train\nc.png,y ,train\nd.png, caf\u00e9,train\n"
    data = table(rows + "e.png,cafe\u0301,val\n")
    assert data.classes == ["caf\u00e9", "x", "y"] and data.train.labels.tolist() == [1, 2, 2, 0]
    assert data.notes == ["one class, though written differently: ' caf\\xe9' and 'cafe\\u0301'; 'y' and 'y '"]
    (tmp_path / "link.png").symlink_to(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png \(train\) and link\.png \(test\) are one file"):
        table(rows + f"e.png,x,val\n{tmp_path}/link.png,x,test\n")


def test_without_a_split_column_all_are_split(table: Any) -> None:
    rows = "".join(f"{name}.png,{'xy'[index % 2]}\n" for index, name in enumerate("abcdefgh"))
    data = table("path,label\n" + rows, split=[0.5, 0.25, 0.25])
    assert (len(data.train), len(data.val), len(data.test)) == (4, 2, 2)
    assert len(labelled(data, "train", "val", "test")) == 8


def test_val_is_carved_where_the_column_has_none(table: Any) -> None:
    rows = "".join(f"{name}.png,{'xy'[index % 2]},train\n" for index, name in enumerate("abcdef"))
    data = table("path,label,split\n" + rows + "g.png,x,test\n", split=[0.5, 0.5])
    assert (len(data.train), len(data.val), list(data.test.ids)) == (3, 3, ["g.png"])


def test_split_beside_a_column_with_val_is_refused(table: Any) -> None:
    with pytest.raises(InputError, match=r"data\.split=.* must be null"):
        table("path,label,split\na.png,x,train\nb.png,y,train\nc.png,x,val\n", split=[0.9, 0.1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"labels\.csv:1: has the columns \(none\)"),
        ("path,label\n", r"labels\.csv: has no rows"),
        ("path,label,weight,x\n", r"labels\.csv:1: unknown columns 'weight', 'x'"),
        ("path;label\n", r":1: unknown columns 'path;label'"),
        ("path,path,label\n", r":1: has the columns path,path,label"),
        ("path,split\n", r":1: has the columns path,split"),
        ("path,label\na.png,x\nb.png\n", r"labels\.csv:3: 1 fields instead of 2"),
        ("path,label\na.png,x,y\n", r"labels\.csv:2: 3 fields instead of 2"),
        ('path,label\na.png,"x\ny"\nb.png,""\n', r"labels\.csv:4: the label is ''"),
        ("path,label\n ,x\n", r"labels\.csv:2: the path is ' '"),
        ('path,label\na.png,x\nb.png,"x"y\n', r"labels\.csv:3: "),
        (
            "path,label\na.png,x\n./a.png,y\n",
            r"labels\.csv:3: './a\.png' is listed before, at .*labels\.csv:2",
        ),
        (
            "path,label,split\na.png,x,valid\n",
            r"labels\.csv:2: split must be train, val or test, not 'valid'",
        ),
        ("path,label,split\na.png,x,val\n", r"no row has split=train"),
        (
            "path,label,split\na.png,x,train\nb.png,y,train\nc.png,z,val\n",
            r"val part has classes .*lacks: 'z'",
        ),
        ("path,label\na.png,x\nb.png,x\n", r"at least two classes"),
        (
            "path,label\n" + "".join(f"no{i}.png,x\n" for i in range(7)),
            r"7 of 7 files .*'no0\.png'.* and 2 more",
        ),
    ],
)
def test_what_is_wrong_is_named(table: Any, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        table(text)


def test_other_encodings_and_missing_tables_are_named(table: Any, tmp_path: Path, make: Any) -> None:
    with pytest.raises(InputError, match=r"labels\.csv: is not UTF-8"):
        table("path,label\na.png,é\n", "latin-1")
    with pytest.raises(InputError, match=r"other\.csv: No such file"):
        make("csv", root=str(tmp_path), csv="other.csv").load()


def test_without_a_root_paths_are_relative_to_the_table(table: Any, tmp_path: Path) -> None:
    text = "path,label,split\na.png,x,train\nb.png,y,train\nc.png,x,val\n"
    rooted = table(text)
    data = table(text, root=None, csv=str(tmp_path / "labels.csv"))
    assert data.fingerprint == rooted.fingerprint
    assert Path(data.train.images.root) == tmp_path


@pytest.mark.parametrize("path", ["../x.png", "sub/../../x.png", "{outside}/x.png", "{root}/../x.png", "..", "a/.."])
def test_a_path_that_leads_out_of_the_root_is_refused(
    tmp_path: Path, make: Callable[..., Any], draw: Callable[..., Path], path: str
) -> None:
    root, outside = tmp_path / "photos", tmp_path / "outside"
    for file in (root / "a.png", tmp_path / "x.png", outside / "x.png"):
        draw(file)
    path = path.format(root=root, outside=outside)
    (root / "labels.csv").write_text(f"path,label\na.png,x\n{path},y\n")
    with pytest.raises(InputError) as caught:
        make("csv", root=str(root)).load()
    said = f"{root}/labels.csv:3: {path!r} is not below {root}: move the file there, or set data.root above it"
    assert str(caught.value) == said


def test_links_are_followed_and_a_path_is_judged_and_kept_as_it_is_from_the_root(
    tmp_path: Path, make: Callable[..., Any], draw: Callable[..., Path]
) -> None:
    root, elsewhere = tmp_path / "photos", tmp_path / "elsewhere"
    inside = ("a.png", "..b.png", "d.png")
    for file in (*(root / each for each in inside), elsewhere / "deep" / "c.png", elsewhere / "a.png"):
        draw(file)
    (root / "linked").symlink_to(elsewhere / "deep")
    rows = f"linked/../a.png,x\n{root}/..b.png,y\nlinked/c.png,y\nd.png,x\n"  # not the a.png beside what is linked
    (root / "labels.csv").write_text(
        "path,label,split\n" + rows.replace("\n", ",train\n") + "./linked//../a.png,x,val\n"
    )
    with pytest.raises(InputError, match=r":6: './linked//../a\.png' is listed before, at .*labels\.csv:2"):
        make("csv", root=str(root)).load()
    (root / "labels.csv").write_text("path,label\n" + rows)
    found = make("csv", root=str(root), split=[0.5, 0.5]).load()
    assert {*found.train.ids, *found.val.ids} == {*inside, "linked/c.png"}


def test_the_fingerprint_knows_labels_and_parts(table: Any, tmp_path: Path, make: Any) -> None:
    first = table("path,label,split\na.png,x,train\nb.png,y,train\nc.png,x,val\n").fingerprint
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in tmp_path.glob("*.*"):
        shutil.copy(path, copy)
    copied = make("csv", root=str(copy)).load()
    assert copied.fingerprint == first
    os.utime(copy / "a.png", (1, 1))
    assert make("csv", root=str(copy)).load().modified != copied.modified
    assert table("path,label,split\na.png,x,train\nb.png,y,train\nc.png,y,val\n").fingerprint != first


def test_download_is_refused(make: Any) -> None:
    with pytest.raises(ConfigError, match="download"):
        make("csv", download=True)


@given(
    rows=st.dictionaries(FILE_NAME, LABEL, min_size=2, max_size=6),
    quote_all=st.booleans(),
)
@settings(deadline=None, max_examples=40)
def test_what_a_csv_writer_writes_is_read_back(make: Callable[..., Any], rows: dict[str, str], quote_all: bool) -> None:
    if len(set(map(normalised, rows.values()))) < 2:
        rows[next(iter(rows))] = next(iter(rows.values())) + "?"
    with tempfile.TemporaryDirectory() as folder:
        for name in rows:
            Path(folder, name).write_bytes(b"x")
        with open(Path(folder, "table,1.csv"), "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, quoting=csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL)
            writer.writerow(["path", "label", "split"])
            writer.writerows([name, label, "train"] for name, label in rows.items())
            Path(folder, "val.png").write_bytes(b"x")
            writer.writerow(["val.png", next(iter(rows.values())), "val"])
        data = make("csv", root=folder, csv="table,1.csv").load()
    assert labelled(data, "train") == {name: normalised(label) for name, label in rows.items()}
    assert list(data.train.ids) == list(rows)
    assert data.classes == sorted(set(map(normalised, rows.values())))


# any number of labels an image

SEVERAL = {"labels": "several"}


def several(data: Any, part: str) -> dict[str, set[str]]:
    taken = getattr(data, part)
    assert taken.labels.dtype == bool and taken.labels.shape == (len(taken.ids), len(data.classes))
    return {
        id_: {name for name, there in zip(data.classes, row, strict=True) if there}
        for id_, row in zip(taken.ids, taken.labels, strict=True)
    }


def test_several_labels_stand_in_one_column_and_may_be_none(table: Any) -> None:
    data = table("path,label,split\na.png,x; y,train\nb.png,,train\nc.png,z;x;z,train\nd.png,y,val\n", **SEVERAL)
    assert data.classes == ["x", "y", "z"]
    assert several(data, "train") == {"a.png": {"x", "y"}, "b.png": set(), "c.png": {"x", "z"}}
    assert several(data, "val") == {"d.png": {"y"}}
    _, target = replace(data.train, images=torch.zeros(3, 1, 2, 2)).sample(2)
    assert target.tolist() == [True, False, True] and target.dtype == torch.bool


def test_columns_of_labels_are_the_same_in_their_order(table: Any) -> None:
    text = "path,y,x,never,split\na.png,1,1,0,train\nb.png,0,0,0,train\nc.png,0,1,0,train\nd.png,1,0,0,val\n"
    data = table(text, **SEVERAL)
    assert data.classes == ["y", "x"]
    assert several(data, "train") == {"a.png": {"x", "y"}, "b.png": set(), "c.png": {"x"}}
    assert data.notes == ["no training image has the label 'never', which is left out"]


def test_both_forms_have_one_fingerprint_for_the_same_order_of_classes(table: Any) -> None:
    split = "a.png,{},train\nb.png,{},val\n"
    words = table("path,label,split\n" + split.format("x;y", "y"), **SEVERAL)
    columns = table("path,x,y,split\n" + split.format("1,1", "0,1"), **SEVERAL)
    assert words.fingerprint == columns.fingerprint
    assert words.fingerprint != table("path,label,split\n" + split.format("x;y", "x"), **SEVERAL).fingerprint


def test_a_part_by_itself_needs_no_labels(table: Any, tmp_path: Path, make: Callable[..., Any]) -> None:
    table("path,label\na.png,x\nb.png,x\nc.png,x\nd.png,x\ne.png,x\n", **SEVERAL)
    (tmp_path / "labels.csv").write_text("path,label\na.png,\n")
    found = make("csv", root=str(tmp_path), **SEVERAL).labelled("test")
    assert found.classes == [] and found.part.labels.shape == (1, 0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("path,x\na.png,2\n", "labels.csv:2: the column x is '2', and must be 1 or 0"),
        ("path,x\na.png,\n", "labels.csv:2: the column x is '', and must be 1 or 0"),
        ("path,split\na.png,train\n", "or have in place of label a column for each label"),
        ("path,label,x\na.png,y,1\n", "unknown columns 'x'"),
        ("path,x;y\na.png,1\n", "columns of labels need names without ';', not 'x;y'"),
        ("path,x,x\na.png,1,1\n", "none of which stands twice"),
        ("path,label,split\na.png,,train\nb.png,,val\n", "needs at least one label, but none was found"),
        ("path,label,split\na.png,x,train\nb.png,x;y,val\n", "has classes that the train part lacks: 'y'"),
    ],
)
def test_a_wrong_table_of_several_labels_is_named(table: Any, text: str, said: str) -> None:
    with pytest.raises(InputError) as error:
        table(text, **SEVERAL)
    assert said in str(error.value)


def test_so_many_images_a_class_need_one_label_an_image(make: Callable[..., Any]) -> None:
    with pytest.raises(ConfigError, match="train_per_class=3 is for one label an image"):
        make("csv", train_per_class=3, **SEVERAL)
    with pytest.raises(ConfigError, match="balance=True is for one label an image"):
        make("csv", balance=True, **SEVERAL)
