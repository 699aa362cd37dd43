from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cnntrain.core.errors import InputError
from cnntrain.data.base import Reading
from cnntrain.data.sets.files import FileImages
from cnntrain.data.sets.named import Unlabelled, names


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """b.png, sub/a.JPG, sub/[c].png, and what is no image or hidden."""
    monkeypatch.chdir(tmp_path)
    for name in ("b.png", "sub/a.jpg", "sub/[c].png", ".hidden.png", ".git/x.png"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4, 3), 9, np.uint8)).save(path)
    os.rename("photos/sub/a.jpg", "photos/sub/a.JPG")
    (tmp_path / "photos" / "notes.txt").write_text("x")
    return tmp_path


def test_images_may_be_a_file_a_folder_a_pattern_a_table_or_lines(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert names("photos") == ["photos/b.png", "photos/sub/[c].png", "photos/sub/a.JPG"]
    assert names("photos/sub/[c].png") == ["photos/sub/[c].png"]
    assert names("photos/*.*") == ["photos/b.png", "photos/notes.txt"]  # what is asked for by name is not sieved
    assert names("photos/**/*.png") == ["photos/b.png", "photos/sub/[c].png"]
    (photos / "photos" / "table.csv").write_text("\ufefflabel,path\nx,b.png\ny,none.png\n", encoding="utf-8")
    assert names("photos/table.csv") == ["photos/b.png", "photos/none.png"]
    monkeypatch.setattr("sys.stdin", io.StringIO("a b.png\n\nc.png"))
    assert names("-") == ["a b.png", "c.png"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("name\nx\n", "one of them must be path"),
        ("path,label\n,x\n", r"table\.csv:2: the path is empty"),
        ('path\n"x\n', "is not a table"),
        ("path\n", "no images are there"),
    ],
)
def test_a_table_that_names_no_images_is_refused(tmp_path: Path, content: str, problem: str) -> None:
    (tmp_path / "table.csv").write_text(content)
    with pytest.raises(InputError, match=problem):
        names(str(tmp_path / "table.csv"))


def test_what_is_not_there_is_said(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for images in ("nowhere", "nowhere/x.png", "table.csv"):
        with pytest.raises(InputError, match=f"images={images}"):
            names(images)
    for images in ("photos/*.gif", "photos/sub/x*"):
        with pytest.raises(InputError, match="no images are there"):
            names(images)
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    with pytest.raises(InputError, match="no images are there"):
        names("-")


def test_an_image_that_cannot_be_read_says_why(photos: Path) -> None:
    part = Unlabelled(FileImages("", ["photos/b.png", "photos/notes.txt"], Reading(3, "white")), (3, 4, 4))
    assert len(part) == 2
    image, problem = part.sample(0)
    assert problem == "" and torch.equal(image, torch.full((3, 4, 4), 9, dtype=torch.uint8))
    image, problem = part.sample(1)
    assert problem.startswith("photos/notes.txt: cannot be read") and image.shape == (3, 4, 4) and not image.any()
