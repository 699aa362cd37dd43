"""Images in tables of the datasets package are those of an image folder; files are written without the package."""

from __future__ import annotations

import io
import json
import pickle
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnntrain.core.errors import ConfigError, InputError
from cnntrain.data.sets import hub

datasets = pytest.importorskip("datasets", reason="the extra huggingface is not installed")
pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

NAMES = ["zebra", "ant", "bee"]
TRAIN = (
    "model=lenet5", "augment=flip_crop", "data.image_size=32", "data.batch_size=8", "data.num_workers=1",
    "trainer.device=cpu", "trainer.precision=float64", "trainer.epochs=2", "data.split=[0.5,0.25,0.25]",
)  # fmt: skip


def png(value: int) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(value).integers(0, 256, (20, 24, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


def write(path: Path, images: Sequence[Any], labels: Sequence[Any], names: list[str] | None = None) -> None:
    """A parquet file as the hub has them; an image is its content, or the path of a file."""
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    rows = [
        {"bytes": each, "path": None} if isinstance(each, bytes) else {"bytes": None, "path": each} for each in images
    ]
    label = {"names": names, "_type": "ClassLabel"} if names else None
    features = {"image": {"_type": "Image"}, **({"label": label} if label else {})}
    if not names:
        features["label"] = {"dtype": "string" if isinstance(labels[0], str) else "int64", "_type": "Value"}
    table = pa.table({"image": pa.array(rows, kind), "label": pa.array(labels)})
    described = {"huggingface": json.dumps({"info": {"features": features}})}
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.replace_schema_metadata(described), path)


@pytest.fixture
def load(tmp_path: Path, make: Callable[..., Any]) -> Callable[..., Any]:
    keys = {"path": str(tmp_path / "set"), "root": str(tmp_path / "cache")}
    return lambda **changes: make("huggingface", **{**keys, **changes}).load()


@pytest.mark.no_cover
def test_a_network_trained_on_them_is_that_of_the_same_images_in_a_folder(
    typed: Any, result_of: Any, tmp_path: Path
) -> None:
    images, labels = [png(value) for value in range(48)], [value // 16 for value in range(48)]
    names = sorted(NAMES)
    write(tmp_path / "set" / "train.parquet", images[:40], labels[:40], names)
    write(tmp_path / "set" / "test.parquet", images[40:], labels[40:], names)
    for number, (content, label) in enumerate(zip(images, labels, strict=True)):
        file = tmp_path / "folder" / ("train" if number < 40 else "test") / names[label] / f"{number:02}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    words = (*TRAIN[:-1], "data.split=[0.8,0.2]")
    results = []
    for name, where in (("imagefolder", ("data.root=folder",)), ("huggingface", ("data.path=set", "data.root=cache"))):
        done = typed(f"data={name}", *where, *words)
        assert done.returncode == 0, done.stderr
        result = result_of(tmp_path / done.stdout.splitlines()[-1])
        results.append((result["weights_sha256"], result["test"]))
    assert results[0] == results[1]


def test_parts_classes_and_pixels_are_those_of_the_tables(load: Any, tmp_path: Path) -> None:
    write(tmp_path / "set" / "train.parquet", [png(i) for i in range(6)], [0, 1, 2, 0, 1, 2], NAMES)
    write(tmp_path / "set" / "validation.parquet", [png(9)], [2], NAMES)
    write(tmp_path / "set" / "test.parquet", [png(9)] * 2, [-1, -1], NAMES)
    data = load()
    assert data.classes == NAMES and data.train.labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert list(data.train.ids) == [f"train/{i}" for i in range(6)] and list(data.val.ids) == ["validation/0"]
    assert data.notes == ["the split test has no labels, so that there is no test part"] and data.test is None
    for i in range(6):
        expected = np.asarray(Image.open(io.BytesIO(png(i)))).transpose(2, 0, 1)
        assert np.array_equal(data.train.images[i].numpy(), expected)
    with pytest.raises(InputError, match=r"2 of the 2 images of the split test have no label: 'test/0', 'test/1'"):
        load(test_split="test")
    with pytest.raises(InputError, match=r"data\.val_split=dev: the set has the splits 'train', 'validation', 'test'"):
        load(val_split="dev")
    with pytest.raises(InputError, match=r"data\.image_column=label: .* it can be 'image'"):
        load(image_column="label")


@pytest.mark.parametrize(("labels", "classes"), [(["b", "a"] * 8, ["a", "b"]), ([10, 9] * 8, ["9", "10"])])
def test_a_column_of_words_or_numbers_is_one_of_labels_too(
    load: Any, tmp_path: Path, labels: list[Any], classes: list[str]
) -> None:
    write(tmp_path / "set" / "train.parquet", [png(i) for i in range(16)], labels)
    data = load(split=[0.5, 0.5])
    assert data.classes == classes and len(data.train) == len(data.val) == 8


def test_changed_tables_have_another_fingerprint(load: Any, tmp_path: Path) -> None:
    write(tmp_path / "set" / "train.parquet", [png(i) for i in range(9)], [0, 1, 2] * 3, NAMES)
    first, again = load(split=[0.6, 0.4]), load(split=[0.6, 0.4])
    assert (first.fingerprint, first.modified) == (again.fingerprint, again.modified)
    write(tmp_path / "set" / "train.parquet", [png(i) for i in range(9)], [0, 2, 1] * 3, NAMES)
    assert load(split=[0.6, 0.4]).fingerprint != first.fingerprint


def test_a_damaged_image_and_a_damaged_table_are_named(load: Any, tmp_path: Path) -> None:
    write(tmp_path / "set" / "train.parquet", [b"none", *map(png, range(5))], [0, 1, 2] * 2, NAMES)
    write(tmp_path / "set" / "validation.parquet", [png(9)], [2], NAMES)
    with pytest.raises(InputError, match=r"^train/0: cannot be read as an image"):
        load().train.images[0]
    (tmp_path / "set" / "train.parquet").write_bytes(b"PAR1 no table")
    with pytest.raises(InputError, match=r"data\.path=.*set: cannot be loaded: "):
        load()


def test_a_table_cannot_lead_to_files_elsewhere(load: Any, draw: Callable[..., Path], tmp_path: Path) -> None:
    inside = [str(draw(tmp_path / "tables" / ".files" / f"{i}.png", i)) for i in range(4)]
    write(tmp_path / "tables" / "train.parquet", inside, [0, 1, 0, 1], ["a", "b"])
    data = load(path=str(tmp_path / "tables"), split=[0.5, 0.5])
    assert sorted(int(part.images[i].max()) for part in (data.train, data.val) for i in range(2)) == [0, 1, 2, 3]
    outside = str(draw(tmp_path / "private.png"))
    for path in (outside, f"{tmp_path}/tables/../private.png"):
        write(tmp_path / "tables" / "train.parquet", [*inside, path], [0, 1, 0, 1, 0], ["a", "b"])
        with pytest.raises(InputError, match=r"train/4: its image .* is not below"):
            load(path=str(tmp_path / "tables"))


def test_formats_that_hold_other_things_are_refused(load: Any, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "train.csv").write_text("image,label\nx,y\n")
    with pytest.raises(InputError, match="is of the format csv; parquet, arrow and folders of images are read"):
        load()


class Marker:
    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_no_code_or_pickle_of_a_set_is_run(load: Any, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "set.py").write_text(f"open({str(ran)!r}, 'w')\n")
    (tmp_path / "set" / "train.pkl").write_bytes(pickle.dumps(Marker(ran)))
    with pytest.raises(InputError, match=r"data\.path=.*: cannot be loaded: Dataset scripts are no longer supported"):
        load()
    (tmp_path / "set" / "set.py").unlink()
    with pytest.raises(InputError, match=r"data\.path="):
        load()
    assert not ran.exists()


@pytest.mark.parametrize(
    ("download", "answer", "reason"),
    [(False, None, "data.download is false"), (True, "https://huggingface.co: no route", "no route")],
)
def test_without_a_network_the_ways_out_are_named(
    load: Any, monkeypatch: pytest.MonkeyPatch, download: bool, answer: str | None, reason: str
) -> None:
    monkeypatch.setattr(hub, "unreachable", lambda urls: answer)
    before = datasets.config.HF_HUB_OFFLINE
    with pytest.raises(InputError, match=rf"data\.path=owner/name: not in the cache .*{reason}.*\n.*\n.*HF_HOME"):
        load(path="owner/name", download=download)
    assert before == datasets.config.HF_HUB_OFFLINE


@pytest.mark.parametrize("path", ["parquet", "../x", "hf://datasets/a/b", "https://example.com/x", "a/b/c"])
def test_only_folders_and_names_on_the_hub_are_taken(
    load: Any, path: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)  # beside which there is no x
    with pytest.raises(InputError, match="must be owner/name, as on the hub, or a folder that is there"):
        load(path=path)


def test_without_the_package_the_extra_is_named(load: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ConfigError, match=r'data=huggingface needs the package datasets, .* "cnntrain\[huggingface\]"'):
        load(path=str(tmp_path))
    with pytest.raises(ConfigError, match=r"data\.path is required"):
        load(path=None)
