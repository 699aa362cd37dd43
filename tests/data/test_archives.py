"""A folder of images in a .tar or .zip is the folder; what is wrong with an archive is said; nothing is extracted."""

from __future__ import annotations

import io
import os
import pickle
import shutil
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tars import write_tar

from cnntrain.core.errors import InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images of three classes, some in folders of the class's, and what is no image."""
    root, noise = tmp_path / "photos", np.random.default_rng(0)
    for number in range(30):
        name = ("ant", "bee", "bee/far")[number % 3] if number % 2 else "Cat"
        (root / name).mkdir(parents=True, exist_ok=True)
        picture = noise.integers(0, 256, (5, 6, 3), dtype=np.uint8)
        Image.fromarray(picture).save(root / name / f"{number:02}.{('png', 'bmp')[number % 2]}")
    (root / "ant" / "notes.txt").write_text("not an image")
    (root / "ant" / ".hidden.png").write_text("not an image")
    return root


def tar(folder: Path, path: Path, above: str = ".") -> Path:
    with tarfile.open(path, "w") as archive:
        archive.add(folder, above)
    return path


def zipped(folder: Path, path: Path, above: str = "") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for number, file in enumerate(sorted(folder.rglob("*"), reverse=True)):
            method = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)[number % 2]
            archive.write(file, os.path.join(above, file.relative_to(folder)), method)
    return path


KINDS: dict[str, Callable[[Path, Path], Path]] = {
    "tar": lambda folder, path: tar(folder, path / "a.tar"),
    "tar of a folder": lambda folder, path: tar(folder, path / "a.tar", "photos"),
    "zip": lambda folder, path: zipped(folder, path / "a.zip"),
    "zip of a folder": lambda folder, path: zipped(folder, path / "a.zip", "photos"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_is_its_folder(kind: str, folder: Path, tmp_path: Path, make: Any) -> None:
    archive = KINDS[kind](folder, tmp_path)
    here, there = (make("imagefolder", root=str(each)).load() for each in (folder, archive))
    assert (there.classes, there.fingerprint) == (here.classes, here.fingerprint)
    assert [each.replace(str(archive), str(folder)) for each in there.notes] == here.notes
    for name, part in here.parts().items():
        other = there.parts()[name]
        assert list(other.ids) == list(part.ids) and other.labels.tolist() == part.labels.tolist()
        assert all(torch.equal(other.images[i], part.images[i]) for i in range(len(part)))
    asked = make("imagefolder", root=str(archive)).labelled("test")
    assert (asked.name, len(asked.part)) == ("all", 30)
    assert {each.name for each in tmp_path.iterdir()} == {"photos", archive.name}


def test_parts_are_told_in_an_archive_too(folder: Path, tmp_path: Path, make: Any) -> None:
    for part in ("train", "val"):
        shutil.copytree(folder, tmp_path / "parts" / part)
    both = make("imagefolder", root=str(tar(tmp_path / "parts", tmp_path / "b.tar", "parts"))).load()
    assert (len(both.train), len(both.val), both.test) == (30, 30, None)
    one = make("imagefolder", root=str(zipped(tmp_path / "parts" / "train", tmp_path / "c.zip", "train"))).load()
    assert (len(one.train), len(one.val), one.train.ids[0][:6]) == (27, 3, "train/")


def test_what_macos_adds_is_left_out_and_counted(folder: Path, tmp_path: Path, make: Any) -> None:
    archive = zipped(folder, tmp_path / "a.zip", "photos")
    with zipfile.ZipFile(archive, "a") as more:
        more.writestr("__MACOSX/photos/ant/._01.png", b"x")
        more.writestr(".DS_Store", b"x")
    found = make("imagefolder", root=str(archive)).load()
    assert found.classes == ["Cat", "ant", "bee"]
    assert "1 that macOS adds to archives" in found.notes[0]


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # of a fork where threads run
def test_processes_read_at_the_same_time(folder: Path, tmp_path: Path, make: Any) -> None:
    images = make("imagefolder", root=str(zipped(folder, tmp_path / "a.zip"))).load().train.images
    expected = [images[i].numpy().tobytes() for i in range(len(images))]
    images = pickle.loads(pickle.dumps(images))  # as a worker that is started anew gets them
    children = []
    for _ in range(3):
        child = os.fork()
        if not child:
            same = [images[i].numpy().tobytes() for i in range(len(images))] * 5 == expected * 5
            os._exit(0 if same else 1)
        children.append(child)
    assert [images[i].numpy().tobytes() for i in range(len(images))] == expected
    assert [os.waitpid(each, 0)[1] for each in children] == [0, 0, 0]


def linked(kind: bytes) -> Callable[[Path], Path]:
    def write(path: Path) -> Path:
        with tarfile.open(path / "a.tar", "w") as archive:
            info = tarfile.TarInfo("ant/1.png")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
        return path / "a.tar"

    return write


def zip_of(name: str, content: bytes = b"x", mode: int = 0, method: int = zipfile.ZIP_DEFLATED) -> Any:
    def write(path: Path) -> Path:
        with zipfile.ZipFile(path / "a.zip", "w", method) as archive:
            info = zipfile.ZipInfo(name)
            info.external_attr, info.compress_type = mode << 16, method
            archive.writestr(info, content)
            archive.writestr("bee/1.png", b"x")
        return path / "a.zip"

    return write


def changed(write: Callable[[Path], Path], change: Callable[[bytes], bytes]) -> Callable[[Path], Path]:
    def again(path: Path) -> Path:
        file = write(path)
        file.write_bytes(change(file.read_bytes()))
        return file

    return again


def central(offset: int, layout: str, value: int) -> Callable[[bytes], bytes]:
    """A change of the first member's entry in the directory of a zip."""

    def change(content: bytes) -> bytes:
        place = content.index(b"PK\x01\x02") + offset
        return content[:place] + struct.pack(layout, value) + content[place + struct.calcsize(layout) :]

    return change


def second_onto_first(content: bytes) -> bytes:
    place = content.rindex(b"PK\x01\x02") + 42  # the offset of the last member's header
    return content[:place] + struct.pack("<I", 0) + content[place + 4 :]


REFUSED: dict[str, tuple[Callable[[Path], Path], str]] = {
    "above the root": (lambda path: write_tar(path / "a.tar", [("../1.png", b"x")]), "does not lie below"),
    "absolute": (lambda path: write_tar(path / "a.tar", [("/ant/1.png", b"x")]), "does not lie below the archive's"),
    "above in the midst": (zip_of("ant/../../1.png"), "does not lie below the archive's root"),
    "drive": (zip_of("C:/1.png"), "does not lie below the archive's root"),
    "backslash": (zip_of("ant\\..\\1.png"), "does not lie below the archive's root"),
    "control": (zip_of("ant/\x1b[2J.png"), "does not lie below the archive's root, or cannot be shown"),
    "symbolic link": (linked(tarfile.SYMTYPE), "is a link, a device or a file with holes"),
    "hard link": (linked(tarfile.LNKTYPE), "is a link, a device or a file with holes"),
    "device": (linked(tarfile.CHRTYPE), "is a link, a device or a file with holes"),
    "link in a zip": (zip_of("ant/1.png", b"/etc/passwd", stat.S_IFLNK | 0o777), "is a link or a device"),
    "twice": (lambda path: write_tar(path / "a.tar", [("ant/1.png", b"x")] * 2), "is there twice"),
    "file and folder": (
        lambda path: write_tar(path / "a.tar", [("ant", b"x"), ("ant/1.png", b"x")]), "in a folder that is a file"
    ),
    "encrypted": (changed(zip_of("ant/1.png"), central(8, "<H", 1)), "is encrypted"),
    "other method": (zip_of("ant/1.png", method=zipfile.ZIP_LZMA), "is packed in another way than deflate"),
    "too large": (changed(zip_of("ant/1.png"), central(24, "<I", 2**31)), "2,147,483,648 bytes out of 3 are no image"),
    "ratio": (changed(zip_of("ant/1.png"), central(24, "<I", 2**16)), "65,536 bytes out of 3 are no image"),
    "overlap": (changed(zip_of("ant/1.png"), second_onto_first), "shares its content with others"),
    "cut": (changed(zip_of("ant/1.png"), lambda content: content[:-30]), "is damaged or incomplete"),
    "cut tar": (
        changed(lambda path: write_tar(path / "a.tar", [("ant/1.png", b"x" * 2000)]), lambda content: content[:1000]),
        "is damaged or incomplete",
    ),
    "packed": (
        lambda path: Path(shutil.make_archive(str(path / "b"), "gztar", path)), "is packed by gzip"
    ),
    "no archive": (lambda path: Path(__file__), "is damaged or incomplete after its beginning"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_what_an_archive_may_not_hold_is_named(kind: str, tmp_path: Path, make: Any) -> None:
    write, said = REFUSED[kind]
    with pytest.raises(InputError, match=said):
        make("imagefolder", root=str(write(tmp_path))).load()


def test_a_member_that_lies_about_itself_is_refused_when_it_is_read(folder: Path, tmp_path: Path, make: Any) -> None:
    archive = zipped(folder, tmp_path / "a.zip")
    images = make("imagefolder", root=str(archive)).load().train.images
    content = bytearray(archive.read_bytes())
    with zipfile.ZipFile(io.BytesIO(content)) as opened:
        info = opened.getinfo(images.ids[0])
    content[info.header_offset + 30 + len(info.filename) + info.compress_size // 2] ^= 1
    archive.write_bytes(content)
    with pytest.raises(InputError, match=rf"{images.ids[0]}: cannot be read out of the archive"):
        images[0]
    archive.write_bytes(b"")
    with pytest.raises(InputError, match="no member begins where one should"):
        images[1]


def test_inflating_ends_at_the_size_that_is_declared(tmp_path: Path, make: Any) -> None:
    from cnntrain.data.sets.archives import Place, _content

    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ant/1.png", b"\0" * 10**7)
        packed = archive.getinfo("ant/1.png").compress_size
    with open(tmp_path / "a.zip", "rb") as file, pytest.raises(ValueError, match="is damaged"):
        _content(file.fileno(), Place(0, packed, 1000, True, 0))
