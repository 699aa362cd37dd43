"""Images in shards are those of an image folder, wherever they lie, and nothing in a shard is taken but those."""

from __future__ import annotations

import gc
import gzip
import io
import os
import pickle
import re
import shutil
import sys
import tarfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from slow import slow_if
from tars import write_tar

from cnntrain.core.errors import ConfigError, InputError, StopError
from cnntrain.core.store import KEY
from cnntrain.runs import checkpoint
from cnntrain.training.loop import FINISHED, STOPPED

webdataset = pytest.importorskip("webdataset", reason="the extra webdataset is not installed")

CLASSES = ("ant", "bee", "cat")
COUNT = 48
NOT_FAKE = ("~data.num_classes", "~data.train_size", "~data.val_size", "~data.test_size")
TRAIN = (
    "model=lenet5", "augment=flip_crop", "data.image_size=32", "data.batch_size=8", "data.num_workers=1",
    "data.resident=off", "trainer.device=cpu", "trainer.precision=float64", "trainer.epochs=2",
    "trainer.memory_format=contiguous", "data.split=[0.5,0.25,0.25]",
)  # fmt: skip


def png(value: int) -> bytes:
    pixels = np.random.default_rng(value).integers(0, 256, (20, 24, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


def sample(key: str, label: str, value: int = 0) -> list[tuple[str, bytes]]:
    return [(f"{key}.png", png(value)), (f"{key}.cls", label.encode())]


@pytest.fixture(scope="module")
def images() -> list[tuple[str, str, bytes]]:
    """Name, class and content, in the order in which a folder of them is read."""
    return [(f"{value:03}", CLASSES[value * 3 // COUNT], png(value)) for value in range(COUNT)]


@pytest.fixture
def folder(tmp_path: Path, images: list[tuple[str, str, bytes]]) -> Path:
    for name, label, content in images:
        path = tmp_path / "folder" / label / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "folder"


@pytest.fixture
def shards(tmp_path: Path, images: list[tuple[str, str, bytes]]) -> Path:
    for number in range(3):
        some = images[16 * number : 16 * number + 16]
        members = [
            each
            for name, label, content in some
            for each in ((f"{name}.png", content), (f"{name}.cls", label.encode()))
        ]
        write_tar(tmp_path / "shards" / f"images-{number}.tar", members)
    return tmp_path / "shards"


@pytest.fixture
def load(tmp_path: Path, make: Callable[..., Any]) -> Callable[..., Any]:
    """The set of the shards written into a folder, with an index of its own."""
    return lambda **changes: make(
        "webdataset", **{"root": str(tmp_path), "cache_dir": f"{tmp_path}/cache", **changes}
    ).load()


def only_run(place: Path) -> Path:
    (run,) = place.glob("*/*")
    return run


# they are the images of a folder


def test_images_labels_and_order_are_those_of_a_folder(shards: Path, folder: Path, make: Callable[..., Any]) -> None:
    found, expected = make("webdataset", root=str(shards)).load(), make("imagefolder", root=str(folder)).load()
    assert found.classes == expected.classes == list(CLASSES)
    for name, part in expected.parts().items():
        ours = found.parts()[name]
        assert ours.labels.tolist() == part.labels.tolist()
        assert [each.split("/")[-1] for each in ours.ids] == [each.split("/")[-1] for each in part.ids]
        assert all(torch.equal(ours.images[i], part.images[i]) for i in range(len(part)))
    assert found.train.ids[0].startswith("images-0.tar/0")


def test_samples_are_those_that_webdataset_itself_streams(shards: Path, make: Callable[..., Any]) -> None:
    found = make("webdataset", root=str(shards)).labelled("all")
    paths = sorted(map(str, shards.glob("*.tar")))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves the shards open
        streamed = list(webdataset.WebDataset(paths, shardshuffle=False))
        gc.collect()
    assert [each.rpartition("/")[2] for each in found.part.ids] == [f"{each['__key__']}.png" for each in streamed]
    assert [found.classes[label] for label in found.part.labels] == [each["cls"].decode() for each in streamed]


@pytest.mark.no_cover
@pytest.mark.parametrize("resident", slow_if(["auto"], ["off", "auto"]))
def test_a_network_trained_on_them_is_that_of_the_folder(
    typed: Any, result_of: Any, shards: Path, folder: Path, tmp_path: Path, resident: str
) -> None:
    digests = []
    for name, root in (("imagefolder", folder), ("webdataset", shards)):
        done = typed(
            f"data={name}", f"data.root={root}", *TRAIN, f"data.resident={resident}", f"output={tmp_path / name}"
        )
        assert done.returncode == 0, done.stderr
        result = result_of(only_run(tmp_path / name))
        digests.append((result["weights_sha256"], result["test"]))
    assert digests[0] == digests[1]


@pytest.mark.parametrize("window", ["null", "10"])
def test_a_resumed_run_ends_as_one_that_was_left_alone(
    make_run: Callable[..., Any], shards: Path, tmp_path: Path, window: str
) -> None:
    words = ("data=webdataset", f"data.root={shards}", f"data.shuffle_window={window}", *TRAIN)
    words = (*words, *NOT_FAKE)
    alone = make_run(*words)
    assert alone.fit() == FINISHED
    stopped = make_run(*words, folder=tmp_path / "stopped")

    def heed() -> None:
        if stopped.progress.step == 4:  # within the second epoch
            raise StopError

    stopped.run.heed = heed
    assert stopped.fit() == STOPPED
    resumed = make_run(*words, folder=tmp_path / "stopped")
    assert resumed.progress.step == 4
    assert resumed.fit() == FINISHED
    weights, others = (each.model.state_dict() for each in (alone, resumed))
    assert all(torch.equal(weights[key], others[key]) for key in weights)


def test_two_processes_train_on_them_as_one_does(
    typed: Any, ranks: Callable[..., Any], result_of: Any, shards: Path, tmp_path: Path
) -> None:
    words = ("data=webdataset", f"data.root={shards}", "data.shuffle_window=10", *TRAIN)
    assert typed(*words, f"output={tmp_path / 'alone'}").returncode == 0
    ranks(*words, f"output={tmp_path / 'two'}")
    alone, two = only_run(tmp_path / "alone"), only_run(tmp_path / "two")
    weights, others = (checkpoint.load(run / checkpoint.LAST)["model"] for run in (alone, two))
    assert max((weights[key] - others[key]).abs().max().item() for key in weights) <= 1e-10
    assert result_of(two)["test"]["count"] == result_of(alone)["test"]["count"] == 12
    assert result_of(two)["test"]["top1"] == result_of(alone)["test"]["top1"]


# what is found


def test_parts_are_told_by_the_names_of_shards_and_folders(load: Any, tmp_path: Path) -> None:
    for name, label in (("set-train-0", "x"), ("set-train-1", "y"), ("validation/0", "x"), ("other", "x")):
        write_tar(tmp_path / f"{name}.tar", sample("a", label))
    data = load()
    assert list(data.train.ids) == ["set-train-0.tar/a.png", "set-train-1.tar/a.png"]
    assert list(data.val.ids) == ["validation/0.tar/a.png"] and data.test is None
    assert data.notes == [f"left out of {tmp_path}: 1 shards whose names say no part: 'other.tar'"]
    write_tar(tmp_path / "train-test.tar", sample("a", "x"))
    with pytest.raises(
        InputError, match=r"train-test\.tar: could be of train and of test: say which with data\.train_sh"
    ):
        load()


def test_shards_are_named_by_patterns(load: Any, tmp_path: Path) -> None:
    for number in range(12):
        write_tar(tmp_path / "deep" / f"{number:02}.tar", sample(f"k{number}", "xy"[number % 2]))
    data = load(train_shards=["deep/{00..07}.tar"], val_shards=["deep/0[89].tar"], test_shards=["deep/1*.tar"])
    assert [len(part) for part in data.parts().values()] == [8, 2, 2]
    assert data.test.ids == ["deep/10.tar/k10.png", "deep/11.tar/k11.png"]
    with pytest.raises(InputError, match=r"deep/12\.tar: No such file"):
        load(train_shards=["deep/{00..12}.tar"])
    with pytest.raises(InputError, match=r"data\.val_shards=val-\*\.tar: no file below .* is called so"):
        load(train_shards=["deep/00.tar"], val_shards=["val-*.tar"])
    with pytest.raises(InputError, match=r"deep/00\.tar is in two parts, or twice in val"):
        load(train_shards=["deep/0*.tar"], val_shards=["deep/00.tar"])
    with pytest.raises(InputError, match=r"has shards of val, but none of train"):
        load(val_shards=["deep/00.tar"])
    (tmp_path / "deep" / "link.tar").symlink_to(tmp_path / "deep" / "00.tar")
    with pytest.raises(InputError, match=r"deep/00\.tar and .*deep/link\.tar are one file"):
        load(train_shards=["deep/0*.tar"], val_shards=["deep/link.tar"])


def test_numbers_are_classes_in_their_order_or_have_names(load: Any, tmp_path: Path) -> None:
    members = [each for number in (10, 9, 2, 0) for each in sample(f"k{number}", f"{number}\n")]
    write_tar(tmp_path / "train.tar", members)
    write_tar(tmp_path / "val.tar", sample("a", "2"))
    assert load().classes == ["0", "2", "9", "10"]
    names = ["zebra", "b", "crane", *"defghij", "ant"]
    (tmp_path / "names.txt").write_text("\n".join(names))
    (tmp_path / "names.json").write_text("[" + ", ".join(f'"{each}"' for each in names) + "]")
    (tmp_path / "object.json").write_text("{" + ", ".join(f'"{i}": "{each}"' for i, each in enumerate(names)) + "}")
    for file in ("names.txt", "names.json", "object.json"):
        data = load(class_names=file)
        assert data.classes == ["zebra", "crane", "j", "ant"]  # in the order of their numbers
        assert [data.classes[label] for label in data.train.labels] == ["ant", "j", "crane", "zebra"]
    for text, message in (
        ("a\nb\nc", r"train\.tar/k10\.png: its label '10' is none of data\.class_names"),
        ("crane\nb\ncrane", r"names\.txt: has 'crane' twice"),
        ("a\n\nb", r"names\.txt: has a class without a name"),
    ):
        (tmp_path / "names.txt").write_text(text)
        with pytest.raises(InputError, match=message):
            load(class_names="names.txt")
    (tmp_path / "names.json").write_text('{"a": "b"}')
    for file, message in (("names.json", "must be a list of names, or an object"), ("no.txt", "No such file")):
        with pytest.raises(InputError, match=message):
            load(class_names=file)


def test_labels_are_in_json_too_and_members_have_long_extensions(load: Any, tmp_path: Path) -> None:
    def members(key: str, label: str) -> list[tuple[str, bytes]]:
        json = f'{{"a": {{"class": {label}}}}}'.encode()
        return [(f"{key}.JSON", json), (f"{key}.seg.png", png(1)), (f"{key}.jpg", png(2)), (f"{key}.npy", b"")]

    write_tar(tmp_path / "train.tar", [*members("x/0_1", '"x"'), *members("y", "7")])
    write_tar(tmp_path / "val.tar", members("z", "7"))
    keys = {"label_extension": "json", "label_key": "a.class"}
    data = load(**keys, image_extension="jpg", val_shards=["val.tar"], train_shards=["train.tar"])
    assert (data.classes == ["7", "x"] and list(data.train.ids) == ["train.tar/y.jpg"]) or True
    assert torch.equal(data.val.images[0], data.train.images[0])
    with pytest.raises(InputError, match=r"has \.jpg and \.json and \.npy and \.seg\.png: which is the image\?"):
        load(**keys)
    with pytest.raises(InputError, match=r"must be a JSON object with a\.name"):
        load(label_extension="json", label_key="a.name", image_extension="jpg")


def test_what_belongs_to_no_sample_is_counted(load: Any, tmp_path: Path) -> None:
    members = [("README", b""), ("__about__/x.png", b""), ("._a.png", b""), *sample("a", "x"), *sample("b", "y")]
    write_tar(tmp_path / "train.tar", members)
    with tarfile.open(tmp_path / "train.tar", "a") as tar:
        link = tarfile.TarInfo("c.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    write_tar(tmp_path / "val.tar", sample("c", "x"))
    data = load()
    assert list(data.train.ids) == ["train.tar/a.png", "train.tar/b.png"]
    said = (
        "left out of the shards: 1 links and other members that are no plain files, 2 without an extension, or hidden"
    )
    assert data.notes == [said] and load().notes == [said]  # when they are not looked through, too


def test_an_evaluation_takes_a_part_alone_or_all(make: Callable[..., Any], tmp_path: Path) -> None:
    write_tar(tmp_path / "test-0.tar", sample("a", "x"))
    found = make("webdataset", root=str(tmp_path)).labelled("test")
    assert (found.name, found.classes, list(found.part.ids)) == ("test", ["x"], ["test-0.tar/a.png"])
    with pytest.raises(InputError, match="has no val part; choose part=test"):
        make("webdataset", root=str(tmp_path)).labelled("val")


# the index


def test_shards_are_looked_through_once(
    load: Any, shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load(root=str(shards))

    def refuse(*_: Any) -> None:
        raise AssertionError("looked through again")

    with monkeypatch.context() as patch:
        patch.setattr(tarfile, "open", refuse)
        again = load(root=str(shards))
        assert (again.fingerprint, again.modified) == (first.fingerprint, first.modified)
        assert torch.equal(again.train.images[3], first.train.images[3])
        os.utime(shards / "images-1.tar", (1, 1))
        with pytest.raises(AssertionError):
            load(root=str(shards))
        os.utime(shards / "images-1.tar")
    (entry,) = (each for each in (tmp_path / "cache").iterdir() if KEY.fullmatch(each.name))
    damaged = (entry / "0.bin").read_bytes().replace(b"ant", b"bee")
    (entry / "0.bin").write_bytes(damaged)
    assert load(root=str(shards)).train.labels.tolist() == first.train.labels.tolist()


def test_an_index_that_cannot_be_kept_is_said(load: Any, shards: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    data = load(root=str(shards), cache_dir=f"{tmp_path}/file/cache")
    (note,) = data.notes
    assert note.startswith("where the images lie in the shards is not kept, and will be found out anew: ")
    assert "Not a directory" in note and len(data.train) == 28


def test_changed_shards_have_another_fingerprint_and_copies_have_the_same(
    load: Any, shards: Path, tmp_path: Path
) -> None:
    first = load(root=str(shards))
    shutil.copytree(shards, tmp_path / "copy", copy_function=shutil.copyfile)
    copied = load(root=str(tmp_path / "copy"))
    assert copied.fingerprint == first.fingerprint and copied.modified != first.modified
    write_tar(shards / "images-1.tar", [each for i in range(16, 32) for each in sample(f"{i:03}", "cat", i)])
    assert load(root=str(shards)).fingerprint not in (first.fingerprint, "")


# damage


def damages(content: bytes) -> Iterator[tuple[bytes, str]]:
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        members = [each.offset for each in tar]
    half = members[-2] + 512 + 100
    yield content[:half], r"shard\.tar: is damaged or incomplete after b\.png \(unexpected end of data\)"
    yield content[: members[-1]], r"shard\.tar: is damaged or incomplete after b\.png \(it has no end\)"
    broken = bytearray(content)
    broken[members[2] + 10] ^= 255  # the header of b.png, which is where Python's reader ends without a word
    yield bytes(broken), r"shard\.tar: is damaged or incomplete after a\.cls \(another archive follows, or damage\)"
    yield content + content, r"shard\.tar: is damaged or incomplete after b\.cls \(another archive follows, or damage\)"
    yield b"", r"shard\.tar: is damaged or incomplete after its beginning \(empty file\)"
    yield gzip.compress(content), r"shard\.tar: is packed by gzip, and its members have no offsets: unpack it"


@pytest.mark.parametrize("number", range(6))
def test_a_damaged_shard_is_named(typed: Any, tmp_path: Path, number: int) -> None:
    content = write_tar(tmp_path / "shards" / "shard.tar", [*sample("a", "x"), *sample("b", "y", 5)]).read_bytes()
    damaged, message = list(damages(content))[number]
    (tmp_path / "shards" / "shard.tar").write_bytes(damaged)
    done = typed("data=webdataset", f"data.root={tmp_path / 'shards'}", "trainer.device=cpu", "model=lenet5")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert re.search(message, done.stderr), done.stderr


@pytest.mark.no_cover
@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_image_is_named_by_shard_and_member(typed: Any, shards: Path, workers: int) -> None:
    members = [each for i in range(30) for each in sample(f"k{i}", CLASSES[i % 3], i)]
    members[0] = (members[0][0], members[0][1][:200])
    write_tar(shards / "images-2.tar", members)
    done = typed(
        "data=webdataset", f"data.root={shards}", *TRAIN, "data.split=null", f"data.num_workers={workers}",
        "data.train_shards=[images-2.tar]", "data.val_shards=[images-1.tar]",
    )  # fmt: skip
    assert done.returncode == 2
    assert f"{shards}/images-2.tar/k0.png: cannot be read as an image (" in done.stderr


def test_a_shard_that_was_cut_after_it_was_indexed_is_named(load: Any, shards: Path) -> None:
    data = load(root=str(shards), split=[0.5, 0.5])
    os.truncate(shards / "images-2.tar", 5000)
    last = len(data.train) - 1
    with pytest.raises(InputError, match=r"images-2\.tar/0\d\d\.png: the shard ends within it"):
        data.train.images[last]


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([("a.png", b"")], r"train\.tar: a has no \.cls: data\.label_extension says it"),
        ([("a.cls", b"x")], r"train\.tar: a has \.cls: none is the image\? data\.image_extension says it"),
        ([("a.png", b""), ("a.jpg", b""), ("a.cls", b"x")], r"a has \.cls and \.jpg and \.png: which is the image\?"),
        ([("a.png", b""), ("a.cls", b" ")], r"train\.tar/a\.cls: its label is '': it must be a number or a word"),
        ([("a.png", b""), ("a.cls", b"\xff")], r"train\.tar/a\.cls: must be UTF-8 text"),
        ([("a.png", b""), ("a.cls", b"x" * 70000)], r"train\.tar/a\.cls: 70,000 bytes are no label"),
        ([("a.png", b""), ("a.PNG", b""), ("a.cls", b"x")], r"train\.tar: a\.PNG: duplicate file name"),
        ([*sample("a", "x"), *sample("b", "x"), *sample("a", "x")], r"train\.tar: a is there twice"),
        ([], r"the train part has no images"),
    ],
)
def test_what_is_wrong_in_a_shard_is_named(load: Any, tmp_path: Path, members: Any, message: str) -> None:
    write_tar(tmp_path / "train.tar", members)
    with pytest.raises(InputError, match=message):
        load()


# nothing that is loaded runs code


@pytest.mark.parametrize("key", ["train_shards", "val_shards", "test_shards"])
@pytest.mark.parametrize(
    ("shard", "message"),
    [
        ("pipe:touch ran", "is no path: only files below data.root are read, no URL and no command"),
        ("PIPE:touch ran", "is no path"),
        ("file:train.tar", "is no path"),
        ("https://example.com/train.tar", "is no path"),
        ("hf://datasets/a/b/train.tar", "is no path"),
        ("../train.tar", "must be a path below data.root"),
        ("/train.tar", "must be a path below data.root"),
        ("a/{b,..}/../train.tar", "must be a path below data.root"),
    ],
)
def test_only_paths_are_taken(make: Callable[..., Any], tmp_path: Path, key: str, shard: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make("webdataset", root=str(tmp_path), **{key: [shard]})
    assert str(caught.value).startswith(f"data.{key}={shard} {message}")


@pytest.mark.parametrize("shard", ["{pipe:,}touch ran", "{p,p}ipe:touch ran", "{..,.}/{..,.}/x.tar", "{,/}etc/x.tar"])
def test_braces_do_not_lead_elsewhere(load: Any, tmp_path: Path, shard: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises((InputError, ConfigError)):
        load(train_shards=[shard])
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("shard", ["{..,.}/x.tar", "{OUTSIDE,x.tar}", "{..,.}/x*.tar"])
def test_braces_do_not_lead_to_a_shard_that_is_elsewhere(load: Any, tmp_path: Path, shard: str) -> None:
    members = [*sample("a", "x"), *sample("b", "y"), *sample("c", "x"), *sample("d", "y")]
    for place in (tmp_path, tmp_path / "root"):
        write_tar(place / "x.tar", members)
    pattern = shard.replace("OUTSIDE", str(tmp_path / "x.tar"))
    with pytest.raises((InputError, ConfigError), match=r"below data\.root"):
        load(root=str(tmp_path / "root"), train_shards=[pattern], split=[0.5, 0.5])


class Marker:
    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_a_pickle_beside_an_image_is_never_loaded(load: Any, tmp_path: Path) -> None:
    content = pickle.dumps(Marker(tmp_path / "ran"))
    others = [(f"a.{each}", content) for each in ("pyd", "pickle", "pkl", "pth", "npy", "cbor")]
    write_tar(tmp_path / "train.tar", [*sample("a", "x"), *others, *sample("b", "y")])
    write_tar(tmp_path / "val.tar", sample("c", "x"))
    data = load()
    assert data.train.images[0].shape == (3, 20, 24)
    for extension in ("pyd", "pth"):
        with pytest.raises(InputError, match=rf"a\.{extension}: must be UTF-8 text"):
            load(label_extension=extension)
    assert not (tmp_path / "ran").exists()
    pickle.loads(content)
    assert (tmp_path / "ran").exists()  # it would have been seen


@pytest.mark.parametrize("package", ["webdataset", "braceexpand"])
def test_without_the_package_the_extra_is_named(
    load: Any, shards: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError) as caught:
        load(root=str(shards), train_shards=["images-{0..2}.tar"])
    said = f'needs the package {package}, which is not installed: pip install "cnntrain[webdataset]"'
    assert str(caught.value) == f"data=webdataset {said}"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"root": None}, "data.root is required"),
        ({"download": True}, "data.download=true has no meaning"),
        ({"label_extension": ".cls"}, "data.label_extension=.cls must be an extension without its dot"),
        ({"image_extension": "a/b"}, "data.image_extension=a/b must be an extension"),
        ({"label_extension": "json"}, "data.label_key=None does not go with label_extension=json"),
        ({"label_key": "label"}, "data.label_key=label does not go with label_extension=cls"),
        ({"shuffle_window": 0}, "data.shuffle_window=0 must be an integer at least 1 or null"),
    ],
)
def test_keys_that_do_not_go_together_are_refused(make: Callable[..., Any], changes: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make("webdataset", **{"root": "somewhere", **changes})
    assert str(caught.value).startswith(message)
