"""Torchvision's sets from tiny archives in the real formats, through torchvision's own code."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import io
import os
import pickle
import shutil
import tarfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from torchvision import datasets

from cnntrain.core import network
from cnntrain.core.errors import ConfigError, InputError
from cnntrain.data.sets import idx

SETS = ["mnist", "fashion_mnist", "cifar10", "cifar100", "svhn", "stl10"]
TRAIN, TEST = 40, 20
RNG = np.random.default_rng(0)


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def tar_gz(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def pixels(count: int, *shape: int) -> np.ndarray:
    return RNG.integers(0, 256, (count, *shape), dtype=np.uint8)


def make_mnist(patch: pytest.MonkeyPatch, kind: Any, url: str) -> dict[str, bytes]:
    def idx(values: np.ndarray) -> bytes:
        header = bytes([0, 0, 8, values.ndim]) + b"".join(size.to_bytes(4, "big") for size in values.shape)
        return gzip.compress(header + values.tobytes())

    archives = {}
    for prefix, count in (("train", TRAIN), ("t10k", TEST)):
        archives[f"{prefix}-images-idx3-ubyte.gz"] = idx(pixels(count, 28, 28))
        archives[f"{prefix}-labels-idx1-ubyte.gz"] = idx((np.arange(count) % 10).astype(np.uint8))
    patch.setattr(kind, "resources", [(name, md5(content)) for name, content in archives.items()])
    patch.setattr(kind, "mirrors", [url])
    return {f"{kind.__name__}/raw/{name}": content for name, content in archives.items()}


def make_cifar(patch: pytest.MonkeyPatch, kind: Any, url: str) -> dict[str, bytes]:
    key, classes = ("labels", 10) if kind is datasets.CIFAR10 else ("fine_labels", 20)
    sizes = {name: TRAIN // len(kind.train_list) for name, _ in kind.train_list} | {kind.test_list[0][0]: TEST}
    content = {}
    for name, count in sizes.items():
        labels = (np.arange(count) % classes).tolist()
        content[name] = pickle.dumps({"data": pixels(count, 3072), key: labels})
    meta = kind.meta["filename"]
    content[meta] = pickle.dumps({kind.meta["key"]: [f"class {index}" for index in range(classes)]})
    patch.setattr(kind, "train_list", [[name, md5(content[name])] for name, _ in kind.train_list])
    patch.setattr(kind, "test_list", [[name, md5(content[name])] for name, _ in kind.test_list])
    patch.setattr(kind, "meta", {**kind.meta, "md5": md5(content[meta])})
    return one_tar(patch, kind, url, content)


def make_stl10(patch: pytest.MonkeyPatch, kind: Any, url: str) -> dict[str, bytes]:
    content = {"unlabeled_X.bin": b"\0" * 3 * 96 * 96}
    for part, count in (("train", TRAIN), ("test", TEST)):
        content[f"{part}_X.bin"] = pixels(count, 3, 96, 96).tobytes()
        content[f"{part}_y.bin"] = (1 + np.arange(count) % 10).astype(np.uint8).tobytes()
    for attribute in ("train_list", "test_list"):
        patch.setattr(kind, attribute, [[name, md5(content[name])] for name, _ in getattr(kind, attribute)])
    return one_tar(patch, kind, url, content)


def one_tar(patch: pytest.MonkeyPatch, kind: Any, url: str, content: dict[str, bytes]) -> dict[str, bytes]:
    archive = tar_gz({f"{kind.base_folder}/{name}": data for name, data in content.items()})
    patch.setattr(kind, "tgz_md5", md5(archive))
    patch.setattr(kind, "url", url + kind.filename)
    return {kind.filename: archive}


def make_svhn(patch: pytest.MonkeyPatch, kind: Any, url: str) -> dict[str, bytes]:
    archives, listed = {}, {}
    for part, count in (("train", TRAIN), ("test", TEST)):
        buffer = io.BytesIO()
        labels = (1 + np.arange(count) % 10).astype(np.uint8)  # 10 stands for the digit 0
        scipy.io.savemat(buffer, {"X": pixels(count, 32, 32, 3).transpose(1, 2, 3, 0), "y": labels[:, None]})
        archives[f"{part}_32x32.mat"] = buffer.getvalue()
        listed[part] = [f"{url}{part}_32x32.mat", f"{part}_32x32.mat", md5(buffer.getvalue())]
    patch.setattr(kind, "split_list", listed)
    return archives


MAKERS: dict[str, tuple[Any, Callable[..., dict[str, bytes]]]] = {
    "mnist": (datasets.MNIST, make_mnist),
    "fashion_mnist": (datasets.FashionMNIST, make_mnist),
    "cifar10": (datasets.CIFAR10, make_cifar),
    "cifar100": (datasets.CIFAR100, make_cifar),
    "svhn": (datasets.SVHN, make_svhn),
    "stl10": (datasets.STL10, make_stl10),
}


class Place:
    """A root folder, and the archives that its set consists of."""

    def __init__(self, root: Path, archives: dict[str, bytes], make: Callable[..., Any], name: str):
        self.root, self.archives, self.make, self.name = root, archives, make, name

    def put(self, root: Path | None = None) -> None:
        for name, content in self.archives.items():
            path = (root or self.root) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def load(self, **changes: Any) -> Any:
        # the tiny sets have too few images of a class for a tenth of them
        return self.make(self.name, **{"root": str(self.root), "split": [0.5, 0.5], **changes}).load()


@pytest.fixture
def place(tmp_path: Path, make: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Place]:
    def build(name: str, url: str = "http://localhost:9/") -> Place:
        kind, maker = MAKERS[name]
        return Place(tmp_path / "data", maker(monkeypatch, kind, url), make, name)

    return build


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder served on this machine, and its address."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: Any):
            super().__init__(*args, directory=str(folder))

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        threading.Thread(target=listening.serve_forever, args=(0.02,), daemon=True).start()
        yield folder, f"http://127.0.0.1:{listening.server_port}/"
        listening.shutdown()


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("download", [True, False])
@pytest.mark.parametrize("name", SETS)
def test_archives_put_in_place_need_no_network(place: Any, name: str, download: bool) -> None:
    here = place(name)
    here.put()
    data = here.load(download=download)
    side = {"mnist": 28, "fashion_mnist": 28, "stl10": 96}.get(name, 32)
    channels = 1 if "mnist" in name else 3
    assert data.native_size == side
    assert data.train.images[0].shape == (channels, side, side)
    assert (len(data.train), len(data.val), len(data.test)) == (TRAIN // 2, TRAIN // 2, TEST)
    assert {id_.split("/")[0] for id_ in [*data.train.ids, *data.val.ids]} == {"train"}
    assert len({*data.train.ids, *data.val.ids}) == TRAIN
    assert list(data.test.ids) == [f"test/{index}" for index in range(TEST)]
    assert here.load(download=False).fingerprint == data.fingerprint
    assert here.load(split_seed=1).fingerprint != data.fingerprint


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("name", SETS)
def test_images_and_labels_are_torchvisions(place: Any, name: str) -> None:
    here = place(name)
    here.put()
    data = here.load()
    kind = MAKERS[name][0]
    which: dict[str, Any] = {"split": "test"} if name in ("svhn", "stl10") else {"train": False}
    reference = kind(str(here.root), download=True, **which)  # unpacks alone
    for index in (0, 7, TEST - 1):
        image, label = reference[index]
        expected = np.asarray(image)
        expected = expected[None] if expected.ndim == 2 else expected.transpose(2, 0, 1)
        np.testing.assert_array_equal(data.test.images[index].numpy(), expected)
        assert data.test.labels[index] == label


@pytest.mark.usefixtures("offline")
def test_class_names(place: Any) -> None:
    def classes(name: str) -> list[str]:
        here = place(name)
        here.put()
        return here.load().classes

    assert classes("mnist") == classes("svhn") == list("0123456789")
    assert classes("fashion_mnist")[0] == "T-shirt/top"
    assert classes("stl10")[2] == "car"
    assert classes("cifar100")[19] == "class 19"


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("download", [True, False])
@pytest.mark.parametrize("name", SETS)
def test_offline_the_message_says_what_to_put_where(place: Any, name: str, download: bool) -> None:
    here = place(name)
    start = time.monotonic()
    with pytest.raises(InputError) as caught:
        here.load(download=download)
    assert time.monotonic() - start < 5
    message = str(caught.value)
    for archive in here.archives:
        assert Path(archive).name in message
    assert str((here.root / next(iter(here.archives))).parent) in message
    for part in ("http://localhost:9/", "data.root=", "data=digits", "data=fake", str(here.root)):
        assert part in message
    assert ("Name or service not known" in message) == download
    assert ("data.download is false" in message) == (not download)


@pytest.mark.parametrize("name", SETS)
def test_a_download(place: Any, name: str, server: tuple[Path, str], capfd: pytest.CaptureFixture[str]) -> None:
    folder, url = server
    here = place(name, url)
    for path, content in here.archives.items():
        (folder / Path(path).name).write_bytes(content)
    assert len(here.load().test) == TEST
    assert capfd.readouterr().out == ""
    shutil.rmtree(folder)
    assert len(here.load().test) == TEST


def test_a_download_with_the_wrong_content_leaves_nothing(place: Any, server: tuple[Path, str]) -> None:
    folder, url = server
    here = place("cifar10", url)
    (folder / "cifar-10-python.tar.gz").write_bytes(b"<html>please log in</html>")
    with pytest.raises(InputError, match=r"incomplete or has a wrong md5 sum"):
        here.load()
    assert not (here.root / "cifar-10-python.tar.gz").exists()


def test_a_server_that_refuses(place: Any, server: tuple[Path, str]) -> None:
    with pytest.raises(InputError, match=r"HTTP Error 404"):
        place("stl10", server[1]).load()


def test_a_server_that_never_answers(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "unreachable", partial(network.unreachable, seconds=0.2))
    monkeypatch.setattr(urllib.request, "urlopen", lambda *args, **kwargs: time.sleep(3))
    start = time.monotonic()
    with pytest.raises(InputError, match="no answer from"):
        place("mnist").load()
    assert time.monotonic() - start < 2


def test_the_second_mirror_counts(place: Any, server: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, url = server
    here = place("mnist", url)
    monkeypatch.setattr(datasets.MNIST, "mirrors", ["http://127.0.0.1:9/", url])
    for path, content in here.archives.items():
        (folder / Path(path).name).write_bytes(content)
    assert len(here.load().test) == TEST


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("name", SETS)
def test_a_damaged_archive_is_named(place: Any, name: str) -> None:
    here = place(name)
    here.put()
    last = here.root / list(here.archives)[-1]
    last.write_bytes(last.read_bytes()[:-7])
    with pytest.raises(InputError, match=rf"{last.name}: is damaged or incomplete .*delete it and run again"):
        here.load()
    assert last.exists()
    if "mnist" in name:
        next(iter(last.parent.glob("train-*"))).unlink()
        with pytest.raises(InputError, match=rf"{last.name}: is damaged or incomplete .*delete it and run again"):
            here.load()


class Evil:
    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize(
    ("name", "file"), [("cifar10", "data_batch_3"), ("cifar10", "batches.meta"), ("cifar100", "test")]
)
def test_a_replaced_pickle_is_never_run(place: Any, tmp_path: Path, name: str, file: str) -> None:
    here = place(name)
    here.put()
    here.load()
    folder = here.root / MAKERS[name][0].base_folder
    (folder / file).write_bytes(pickle.dumps(Evil(tmp_path / "ran")))
    if file == "batches.meta":  # torchvision unpacks again for the batches only
        with pytest.raises(InputError, match=r"cifar-10-batches-py: cannot be read .*batches\.meta"):
            here.load()
    else:
        assert len(here.load().test) == TEST
    (here.root / MAKERS[name][0].filename).unlink()
    (folder / file).write_bytes(pickle.dumps(Evil(tmp_path / "ran")))
    with pytest.raises(InputError, match=f"missing or damaged: {folder / file}"):
        here.load()
    assert not (tmp_path / "ran").exists()


def unpacked(here: Place, folder: Path) -> None:
    folder.mkdir(parents=True)
    for name, content in here.archives.items():
        (folder / Path(name).name.removesuffix(".gz")).write_bytes(gzip.decompress(content))


@pytest.mark.usefixtures("offline")
def test_idx_files_are_judged_by_their_content_wherever_they_lie(
    place: Any, make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = place("fashion_mnist")
    here.put()
    data = here.load()
    assert [each.count("not the content that was published as FashionMNIST") for each in data.notes] == [1]
    for number, name in enumerate(("train-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")):
        file = here.root / "FashionMNIST/raw" / name
        file.write_bytes(gzip.compress(gzip.decompress(file.read_bytes()), number))  # another md5 sum
    unpacked(here, tmp_path / "plain")
    packed = tmp_path / "packed"
    shutil.copytree(here.root / "FashionMNIST/raw", packed)
    for root in (here.root, tmp_path / "plain", packed, here.root / "FashionMNIST"):
        assert here.load(root=str(root)).fingerprint == data.fingerprint
    shutil.copy(tmp_path / "plain/train-labels-idx1-ubyte", packed)
    (packed / "train-labels-idx1-ubyte.gz").write_bytes(b"")
    assert here.load(root=str(packed)).fingerprint == data.fingerprint  # what is whole beside it is taken
    (packed / "t10k-images-idx3-ubyte").write_bytes(b"")
    assert here.load(root=str(packed)).fingerprint == data.fingerprint
    assert not list(packed.glob("*/"))  # nothing is unpacked: the folder may be the system's
    digests = {md5(gzip.decompress(content)): "FashionMNIST" for content in here.archives.values()}
    monkeypatch.setattr(idx, "PUBLISHED", digests)
    assert here.load().notes == []
    with pytest.raises(InputError, match=r"train-images-idx3-ubyte: is a file of FashionMNIST, not of MNIST: choose"):
        make("mnist", root=str(tmp_path / "plain")).load()


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is damaged or incomplete .it does not begin as an idx file"),
        (b"\0\0\x08\x01\0", "it ends within its header"),
        (b"\0\0\x08\x01\0\0\0\x02\0\0\0", "3 bytes follow the header instead of 2"),
        (b"\0\0\x08\x01\0\0\0\x28" + b"\x0c" * 40, "has a label 12, but there are 10 classes"),
        (b"\0\0\x08\x01\0\0\0\x02\0\0", r"\(2,\) labels do not fit the \(40, 28, 28\)"),
    ],
)
def test_damaged_idx_files_are_named(place: Any, content: bytes, message: str) -> None:
    here = place("mnist")
    unpacked(here, here.root)
    (here.root / "train-labels-idx1-ubyte").write_bytes(content)
    with pytest.raises(InputError, match=f"train-labels-idx1-ubyte: .*{message}"):
        here.load()


@pytest.mark.real
def test_fashion_mnist_as_debian_packs_it(make: Any) -> None:
    if "CNNTRAIN_REAL" not in os.environ:
        pytest.skip("CNNTRAIN_REAL is not set")
    folder = Path(os.environ["CNNTRAIN_REAL"])
    packed = make("fashion_mnist", root=str(folder / "debian"), download=False).load()
    assert (len(packed.train), len(packed.val), len(packed.test), packed.notes) == (54_000, 6_000, 10_000, [])
    assert packed.fingerprint == make("fashion_mnist", root=str(folder / "data")).load().fingerprint
    with pytest.raises(InputError, match="is a file of FashionMNIST, not of MNIST"):
        make("mnist", root=str(folder / "debian")).load()


@pytest.mark.usefixtures("offline")
def test_channels(place: Any) -> None:
    here = place("cifar10")
    here.put()
    assert here.load(channels=1).train.images[0].shape == (1, 32, 32)
    here = place("mnist")
    here.put()
    assert here.load(channels=3).train.images[0].shape == (3, 28, 28)


def test_keys_are_checked(make: Any) -> None:
    with pytest.raises(ConfigError, match="root is required"):
        make("cifar10", root=None)
    with pytest.raises(ConfigError, match="split must be two fractions"):
        make("cifar10", split=[0.6, 0.2, 0.2])
