from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from composing import composed
from PIL import Image

from cnntrain.config.groups import plugin_class
from cnntrain.core.errors import InputError
from cnntrain.data.sets.cues import Cues, read

CLASSES = ["cat", "dog", "elephant", "polar-bear", "unit1", "7"]


def source(**changes: Any) -> Any:
    return plugin_class("data", "fake")(**{**composed(["data=fake"])["data"], **changes})


def folder(root: Path, *names: str) -> str:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(root / name)
    return str(root)


def named(found: Cues) -> dict[str, tuple[str, str]]:
    labels = zip(found.images.part.labels, found.textures, strict=True)
    pairs = [(found.images.classes[shape], found.images.classes[texture]) for shape, texture in labels]
    return dict(zip(found.images.part.ids, pairs, strict=True))


def test_shape_and_texture_are_told_by_names_with_hyphens_and_digits(tmp_path: Path) -> None:
    expected = {
        "7/712-unit13.png": ("7", "unit1"),
        "cat/cat10-elephant2.png": ("cat", "elephant"),
        "cat/cat7-polar-bear12.png": ("cat", "polar-bear"),
        "polar-bear/polar-bear1-cat3.PNG": ("polar-bear", "cat"),
        "unit1/unit12-74.jpg": ("unit1", "7"),
    }
    found = read(source(), folder(tmp_path, *expected, ".hidden/cat1-dog1.png"), CLASSES)
    assert named(found) == expected
    assert [CLASSES[each] for each in found.offered] == ["cat", "elephant", "polar-bear", "unit1", "7"]
    assert (dict(found.unknown), found.left_out) == ({}, {"unknown": 0, "same": 0})
    assert found.images.part.images[0].shape == (source().channels, 4, 4)


def test_what_cannot_be_judged_is_left_out_and_counted(tmp_path: Path) -> None:
    names = ("cat/cat1-dog1.png", "cat/cat1-cat2.png", "cat/cat1-emu1.png", "emu/emu1-fox1.png", "emu/emu1-emu2.png")
    found = read(source(), folder(tmp_path, *names), CLASSES)
    assert named(found) == {"cat/cat1-dog1.png": ("cat", "dog")}
    assert (found.unknown, found.left_out) == ({"emu": 3, "fox": 1}, {"unknown": 3, "same": 1})
    assert found.offered.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ((), r"holds no images; expected are <shape>/<shape><number>-<texture><number>\.png, such as cat/cat7-"),
        (("cat/cat1-dog1.png", "cat/dog1-cat1.png"), r"1 of 2 images are not named as expected, .*: 'cat/dog1-cat1"),
        (("cat/cat1.png",), "1 of 1 images are not named as expected"),
        (("cat/cat-dog1.png",), "1 of 1 images are not named as expected"),
        (("cat/cat1-dog.png",), "1 of 1 images are not named as expected"),
        (("cat1-dog1.png",), "1 of 1 images are not named as expected"),
        (("cat/more/cat1-dog1.png",), "1 of 1 images are not named as expected"),
        (("emu/emu1-fox1.png",), "the network does not know 'emu', 'fox'; it knows 'cat', 'dog'"),
        (("cat/cat1-cat2.png",), "of 1 of its 1 images the shape and the texture are of one class"),
        (("unit/unit1-dog1.png", "cat/cat1-unit12.png"), "cat/cat1-unit12.png has a texture of one of 'unit', 'unit1'"),
    ],
)
def test_what_is_no_such_folder_is_said(tmp_path: Path, names: tuple[str, ...], said: str) -> None:
    (tmp_path / "cues").mkdir()
    with pytest.raises(InputError, match=said) as caught:
        read(source(), folder(tmp_path / "cues", *names), CLASSES)
    assert str(caught.value).startswith(f"cues={tmp_path}")


def test_a_folder_that_is_missing_and_a_link_to_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere: is no folder; give one that holds <shape>/"):
        read(source(), str(tmp_path / "nowhere"), CLASSES)
    root = folder(tmp_path, "cat/cat1-dog1.png")
    (tmp_path / "cat/cat2-dog1.png").symlink_to("gone.png")
    with pytest.raises(InputError, match=r"cat2-dog1\.png: No such file"):
        read(source(), root, CLASSES)
    assert len(read(source(on_bad="skip"), root, CLASSES).images.part) == 2
