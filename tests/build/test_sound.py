"""Images that cannot be read: a run without them is the run of a folder in which they never were."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from composing import composed
from PIL import Image

from cnntrain.build import sound
from cnntrain.build.data import load_data, load_labelled
from cnntrain.config.check import section
from cnntrain.config.groups import plugin_class
from cnntrain.core.errors import InputError
from cnntrain.data.base import Data, Reading
from cnntrain.data.sets.decode import KINDS, ImageError, decode

BAD = {"train/bee/1.png": "damaged", "train/bee/4.png": "missing", "test/ant/0.png": "empty"}


def draw(root: Path) -> None:
    """Two classes that their greys tell, each part with six images of each."""
    for part in ("train", "val", "test"):
        for grey, name in ((60, "ant"), (180, "bee")):
            (root / part / name).mkdir(parents=True)
            for number in range(6):
                noise = np.random.default_rng([grey, number, len(part)]).integers(-30, 30, (32, 32, 3))
                Image.fromarray((noise + grey).astype(np.uint8)).save(root / part / name / f"{number}.png")


def spoil(root: Path) -> None:
    first, second, third = (root / each for each in BAD)
    first.write_bytes(first.read_bytes()[:-200])
    second.unlink()
    second.symlink_to("nowhere.png")
    third.write_bytes(b"")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    draw(tmp_path / "photos")
    shutil.copytree(tmp_path / "photos", tmp_path / "clean")
    spoil(tmp_path / "photos")
    for each in BAD:
        (tmp_path / "clean" / each).unlink()
    return tmp_path / "photos"


@pytest.fixture
def source(photos: Path) -> Callable[..., Data]:
    """The folder as a source, with values of its keys."""

    def make(**changes: Any) -> Data:
        values = {**composed(["data=imagefolder"])["data"], "root": str(photos), "num_workers": 0, **changes}
        return section(values, plugin_class("data", "imagefolder"), "data")

    return make


def train(typed: Callable[..., Any], *words: str) -> dict[str, Any]:
    done = typed(*words, "model=lenet5", "data.batch_size=4", "data.num_workers=0", "trainer.device=cpu")
    assert done.returncode == 0, done.stderr
    return json.loads((Path(done.stdout.splitlines()[-1]) / "result.json").read_text())


@pytest.mark.no_cover
def test_a_run_and_its_resume_are_those_of_a_folder_without_the_images(photos: Path, typed: Callable[..., Any]) -> None:
    ours = ("data=imagefolder", "data.root=photos", "data.on_bad=skip")
    first = train(typed, *ours, "trainer.epochs=1")
    assert first["data"]["skipped"] == BAD
    assert (first["test"]["count"], first["status"]) == (11, "finished")
    whole = train(typed, "data=imagefolder", "data.root=clean", "trainer.epochs=2")
    assert whole["data"]["skipped"] == {}
    resumed = typed(f"resume={first['run_dir']}", "trainer.epochs=2")
    assert resumed.returncode == 0, resumed.stderr
    found = json.loads((photos.parent / first["run_dir"] / "result.json").read_text())
    assert found["weights_sha256"] == whole["weights_sha256"]
    assert found["test"] == whole["test"]
    assert "3 images: 'train/bee/1.png', 'train/bee/4.png', 'test/ant/0.png'" in resumed.stdout


def test_what_was_found_is_kept_until_a_file_changes(
    source: Callable[..., Data], photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = source(on_bad="skip")
    assert load_data(data).skipped == BAD
    monkeypatch.setattr(sound, "_codes", lambda *_: pytest.fail("read again"))
    again = load_data(data)
    assert again.skipped == BAD
    (photos / "train/bee/0.png").touch()
    with pytest.raises(pytest.fail.Exception, match="read again"):
        load_data(data)


def test_the_parts_are_what_is_left_and_have_a_fingerprint_of_their_own(source: Callable[..., Data]) -> None:
    found = load_data(source(on_bad="skip"))
    assert [len(each) for each in found.parts().values()] == [10, 12, 11]
    assert not set(BAD) & {id_ for part in found.parts().values() for id_ in part.ids}
    assert found.train.images[5].shape == (3, 32, 32)
    assert found.notes[-1].startswith("left out, since they cannot be read (data.on_bad=skip): 3 images: ")
    few = load_data(source(on_bad="skip", train_per_class=4))
    assert (len(few.train), few.skipped) == (8, BAD)
    assert few.fingerprint != found.fingerprint


def test_of_other_images_the_readable_ones_are_judged(source: Callable[..., Data]) -> None:
    images = load_labelled(source(on_bad="skip"), "test")
    assert list(images.part.ids)[:2] == ["test/ant/1.png", "test/ant/2.png"]
    assert "1 images: 'test/ant/0.png'" in images.notes[-1]


def test_a_set_without_bad_images_is_what_it_was(source: Callable[..., Data], photos: Path) -> None:
    clean = str(photos.parent / "clean")
    skipping, plain = (load_data(source(root=clean, on_bad=each)) for each in ("skip", "stop"))
    assert (skipping.fingerprint, skipping.notes, skipping.skipped) == (plain.fingerprint, plain.notes, {})


def test_stop_ends_at_the_first_as_ever(source: Callable[..., Data], photos: Path) -> None:
    with pytest.raises(InputError, match=r"4\.png: is not a file, or a link to nothing"):
        load_data(source())
    (photos / "train/bee/4.png").unlink()
    with pytest.raises(ImageError, match=r"1\.png: cannot be read as an image"):
        load_data(source()).train.images[6 + 1]


@pytest.mark.parametrize(
    ("spoiled", "message"),
    [("train/bee", r"no training image can be read of the classes 'bee'"), ("val", "none of the 12")],
)
def test_too_much_is_said(source: Callable[..., Data], photos: Path, spoiled: str, message: str) -> None:
    for each in (photos / spoiled).rglob("*.png"):
        each.unlink()
        each.write_bytes(b"not an image")
    with pytest.raises(InputError, match=f"data.on_bad=skip: .*{message}"):
        load_data(source(on_bad="skip"))


def test_each_kind_of_damage_has_its_name(tmp_path: Path) -> None:
    whole = tmp_path / "whole.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(whole)
    content = whole.read_bytes()
    for name, written in {
        "empty": b"",
        "damaged": content[:5000],
        "damaged_head": content[:20],
        "not_an_image": b"<html></html>",
    }.items():
        (tmp_path / f"{name}.png").write_bytes(written)
    Image.new("1", (10_000, 9_500)).save(tmp_path / "too_large.png")
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / "no_range.tif")
    (tmp_path / "unreadable.png").mkdir()
    np.save(tmp_path / "channels.npy", np.zeros((4, 4, 5), np.uint8))
    found = {}
    for each in [*sorted(tmp_path.iterdir()), tmp_path / "missing.png"]:
        try:
            decode(str(each), Reading(3, "white"))
        except ImageError as error:
            found[each.stem] = error.kind.name
    assert found.pop("damaged_head") == "damaged"
    assert found == {kind.name: kind.name for kind in KINDS}
