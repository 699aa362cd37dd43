"""Torchvision's sets in small: files in its layouts, what its classes read from them, and what we make of that."""

from __future__ import annotations

import bz2
import hashlib
import json
import struct
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import h5py
import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat
from torchvision import datasets

from cnntrain.config.groups import builtin_dir
from cnntrain.core.errors import ConfigError, InputError
from cnntrain.data.sets.torchvision_files import SETS
from cnntrain.data.torchvision import WITHOUT_DOWNLOAD, Class

COUNT = 8  # images of a class and part


def image(path: Path, shade: int) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((6, 7, 3), shade, dtype=np.uint8)).save(path)
    return path.name


def images(folder: Path, first: int, pattern: str = "{}.png", count: int = COUNT) -> list[str]:
    return [image(folder / pattern.format(number + 1), 10 * first + number) for number in range(count)]


def lines(path: Path, values: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{each}\n" for each in values))


def folders(
    root: Path, parts: tuple[str, ...], names: tuple[str, str] = ("ant", "bee"), pattern: str = "{}.png"
) -> None:
    for number, part in enumerate(parts):
        for label, name in enumerate(names):
            images(root / part / name, 4 * number + 2 * label, pattern)


def pets(root: Path, _: Any) -> None:
    for number, part in enumerate(("trainval", "test")):
        of = [
            (each.removesuffix(".jpg"), label)
            for label, name in enumerate(("the_cat", "a_dog"))
            for each in images(root / "oxford-iiit-pet/images", 2 * number + label, f"{name}_{number}{{}}.jpg")
        ]
        lines(root / f"oxford-iiit-pet/annotations/{part}.txt", [f"{each} {label + 1} 1 1" for each, label in of])


def flowers(root: Path, patch: pytest.MonkeyPatch) -> None:
    folder = root / "flowers-102"
    images(folder / "jpg", 0, "image_{:05d}.jpg", count=24)
    numbers = np.arange(1, 25)
    savemat(folder / "setid.mat", {"trnid": numbers[::3], "valid": numbers[1::3], "tstid": numbers[2::3]})
    savemat(folder / "imagelabels.mat", {"labels": 1 + numbers // 3 % 2})
    names = {"label": "imagelabels.mat", "setid": "setid.mat"}
    md5 = {key: (name, hashlib.md5((folder / name).read_bytes()).hexdigest()) for key, name in names.items()}
    patch.setattr(datasets.Flowers102, "_file_dict", {**datasets.Flowers102._file_dict, **md5})


def celebrities(root: Path, patch: pytest.MonkeyPatch) -> None:
    folder = root / "celeba"
    names = images(folder / "img_align_celeba", 0, "{:06d}.jpg", count=24)
    male = [1 if number // 3 % 2 else -1 for number in range(24)]
    tables = {
        "list_eval_partition.txt": [f"{name} {number % 3}" for number, name in enumerate(names)],
        "list_attr_celeba.txt": [
            "24",
            "Bald Male Young",
            *(f"{a} -1 {b:2d}  1" for a, b in zip(names, male, strict=True)),
        ],
        "identity_CelebA.txt": [f"{name} 5" for name in names],
        "list_bbox_celeba.txt": ["24", "image_id x_1", *(f"{name} 1" for name in names)],
        "list_landmarks_align_celeba.txt": ["24", "lefteye_x", *(f"{name} 1" for name in names)],
    }
    for name, rows in tables.items():
        lines(folder / name, rows)
    patch.setattr(datasets.CelebA, "file_list", [("", None, name) for name in tables])


def food(root: Path, _: Any) -> None:
    for number, part in enumerate(("train", "test")):
        of = {
            name: [
                f"{name}/{each.removesuffix('.jpg')}"
                for each in images(root / "food-101/images" / name, 2 * number + label, f"{part}{{}}.jpg")
            ]
            for label, name in enumerate(("pie", "soup"))
        }
        lines(root / f"food-101/meta/{part}.json", [json.dumps(of)])


def textures(root: Path, _: Any) -> None:
    folders(root / "dtd/dtd/images", ("",), ("dotted", "striped"))
    for part, kept in (("train", slice(0, 4)), ("val", slice(4, 6)), ("test", slice(6, 8))):
        chosen = [f"{name}/{number}.png" for name in ("dotted", "striped") for number in range(1, 9)[kept]]
        lines(root / f"dtd/dtd/labels/{part}1.txt", chosen)


def signs(root: Path, _: Any) -> None:
    folders(root / "gtsrb/GTSRB/Training", ("",), ("00000", "00001"), "{}.ppm")
    named = images(root / "gtsrb/GTSRB/Final_Test/Images", 7, "{}.ppm")
    rows = ["Filename;Width;ClassId", *(f"{each};6;{number % 2}" for number, each in enumerate(named))]
    lines(root / "gtsrb/GT-final_test.csv", rows)


def aircraft(root: Path, _: Any) -> None:
    folder = root / "fgvc-aircraft-2013b/data"
    lines(folder / "variants.txt", ["707", "A 380"])
    for number, part in enumerate(("train", "val", "test")):
        of = images(folder / "images", number, f"{number}{{}}.jpg")
        labelled = [f"{each.removesuffix('.jpg')} {('707', 'A 380')[place % 2]}" for place, each in enumerate(of)]
        lines(folder / f"images_variant_{part}.txt", labelled)


def cars(root: Path, _: Any) -> None:
    folder = root / "stanford_cars"
    (folder / "devkit").mkdir(parents=True)
    savemat(folder / "devkit/cars_meta.mat", {"class_names": np.array(["Audi", "Fiat"], dtype=object)})
    for number, (images_of, file) in enumerate(
        (("cars_train", "devkit/cars_train_annos.mat"), ("cars_test", "cars_test_annos_withlabels.mat"))
    ):
        of = images(folder / images_of, 2 * number, f"{number}{{}}.jpg", count=16)
        table = np.array([(each, 1 + place % 2) for place, each in enumerate(of)], [("fname", "O"), ("class", "O")])
        savemat(folder / file, {"annotations": table})


def scenes(root: Path, _: Any) -> None:
    lines(root / "SUN397/ClassName.txt", ["/a/abbey", "/c/cave/indoor"])
    for label, name in enumerate(("a/abbey", "c/cave/indoor")):
        images(root / "SUN397" / name, label, "sun_{}.jpg")


def imagenette(root: Path, _: Any) -> None:
    folders(root / "imagenette2", ("train", "val"), ("n01440764", "n02102040"), "{}.jpeg")


def imagenet(root: Path, _: Any) -> None:
    numbers = {"n02012849": ("crane",), "n02124075": ("Egyptian cat",), "n03126707": ("crane",)}
    folders(root, ("train", "val"), ("n02012849", "n02124075"), "{}.JPEG")
    images(root / "train/n03126707", 11, "{}.JPEG")
    images(root / "val/n03126707", 12, "{}.JPEG")
    torch.save((numbers, []), root / "meta.bin")


def places(root: Path, patch: pytest.MonkeyPatch) -> None:
    kind = datasets.Places365
    lines(root / kind._CATEGORIES_META[0], ["/a/abbey 0", "/c/cave 1"])
    for part, folder in (("train-standard", "data_256_standard"), ("val", "val_256")):
        names = [f"{'ac'[label]}/{label}{n}.jpg" for label in (0, 1) for n in range(COUNT)]
        for place, name in enumerate(names):
            image(root / folder / name, 10 * place + len(part))
        lines(root / kind._FILE_LIST_META[part][0], [f"/{name} {place // COUNT}" for place, name in enumerate(names)])
    patch.setattr(datasets.places365, "check_integrity", lambda path, md5=None: Path(path).is_file())


def species(root: Path, _: Any) -> None:
    names = tuple(f"0000{n}_Animalia_Chordata_Aves_Gruiformes_Gruidae_Grus_{of}" for n, of in enumerate("ab"))
    folders(root, ("2021_train_mini", "2021_valid"), names, "{}.jpg")


def characters(root: Path, patch: pytest.MonkeyPatch) -> None:
    folders(root / "omniglot-py/images_background", ("",), ("Greek/character01", "Greek/character02"))
    (root / "omniglot-py/images_background.zip").write_bytes(b"")
    patch.setattr(datasets.omniglot, "check_integrity", lambda path, md5: Path(path).is_file())


def nodes(root: Path, _: Any) -> None:
    folder = root / "pcam"
    folder.mkdir(parents=True)
    for number, files in enumerate(datasets.PCAM._FILES.values()):
        pixels = np.random.default_rng(number).integers(0, 256, (COUNT, 6, 6, 3), dtype=np.uint8)
        for key, of, values in (("images", "x", pixels), ("targets", "y", np.arange(COUNT).reshape(-1, 1, 1, 1) % 2)):
            with h5py.File(folder / files[key][0], "w") as file:
                file[of] = values


def caltech101(root: Path, _: Any) -> None:
    folders(root / "caltech101/101_ObjectCategories", ("",), ("Faces", "ant"), "image_{:04d}.jpg")
    images(root / "caltech101/101_ObjectCategories/BACKGROUND_Google", 9, "image_{:04d}.jpg")
    (root / "caltech101/Annotations").mkdir()


def caltech256(root: Path, _: Any) -> None:
    for label, name in enumerate(("001.ak47", "002.bear")):
        images(root / "caltech256/256_ObjectCategories" / name, label, f"{name[:3]}_{{:04d}}.jpg")


def idx(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    code = {1: 8, 4: 12}[values.itemsize]
    head = struct.pack(f">{1 + values.ndim}i", 256 * code + values.ndim, *values.shape)
    path.write_bytes(head + values.astype(values.dtype.newbyteorder(">")).tobytes())


def pixels(count: int) -> np.ndarray:
    return np.arange(count * 28 * 28, dtype=np.uint32).astype(np.uint8).reshape(count, 28, 28)


def mnist_like(root: Path, names: tuple[str, str], classes: int = 10) -> None:
    for name in names:
        idx(root / f"{name}-images-idx3-ubyte", pixels(10 * classes))
        idx(root / f"{name}-labels-idx1-ubyte", np.arange(10 * classes, dtype=np.uint8) % classes)


def kmnist(root: Path, _: Any) -> None:
    mnist_like(root / "KMNIST/raw", ("train", "t10k"))


def emnist(root: Path, _: Any) -> None:
    mnist_like(root / "EMNIST/raw", ("emnist-balanced-train", "emnist-balanced-test"), 47)


def qmnist(root: Path, _: Any) -> None:
    for name in ("train", "test"):
        idx(root / f"QMNIST/raw/qmnist-{name}-images-idx3-ubyte", pixels(100))
        table = np.tile(np.arange(100, dtype=np.int32)[:, None] % 10, (1, 8))
        idx(root / f"QMNIST/raw/qmnist-{name}-labels-idx2-int", table)


def usps(root: Path, _: Any) -> None:
    root.mkdir(exist_ok=True)
    text = "".join(f"{1 + n % 10} {' '.join(f'{p + 1}:{n % 3 - 1}' for p in range(256))}\n" for n in range(100))
    for name in ("usps.bz2", "usps.t.bz2"):
        (root / name).write_bytes(bz2.compress(text.encode()))


def semeion(root: Path, patch: pytest.MonkeyPatch) -> None:
    root.mkdir(exist_ok=True)
    table = np.concatenate([np.tile(np.arange(256) % 2, (50, 1)), np.eye(10)[np.arange(50) % 10]], axis=1)
    np.savetxt(root / "semeion.data", table)
    md5 = hashlib.md5((root / "semeion.data").read_bytes()).hexdigest()
    patch.setattr(datasets.SEMEION, "md5_checksum", md5)


def faces(root: Path, patch: pytest.MonkeyPatch) -> None:
    rows = [f"{n % 7},{' '.join(['5'] * 48 * 48)},{'Training' if n < 70 else 'PublicTest'}" for n in range(84)]
    lines(root / "fer2013/fer2013.csv", ["emotion,pixels,Usage", *rows])
    md5 = hashlib.md5((root / "fer2013/fer2013.csv").read_bytes()).hexdigest()
    patch.setattr(datasets.FER2013, "_RESOURCES", {**datasets.FER2013._RESOURCES, "fer": ("fer2013.csv", md5)})


LAYOUTS: dict[str, tuple[Callable[[Path, Any], None], list[str], tuple[int, int, int]]] = {
    "OxfordIIITPet": (pets, ["The Cat", "A Dog"], (14, 2, 16)),
    "Flowers102": (flowers, ["0", "1"], (8, 8, 8)),
    "CelebA": (celebrities, ["female", "male"], (8, 8, 8)),
    "Food101": (food, ["pie", "soup"], (14, 2, 16)),
    "DTD": (textures, ["dotted", "striped"], (8, 4, 4)),
    "EuroSAT": (lambda root, _: folders(root / "eurosat/2750", ("",)), ["ant", "bee"], (10, 3, 3)),
    "Caltech101": (caltech101, ["Faces", "ant"], (10, 3, 3)),
    "Caltech256": (caltech256, ["ak47", "bear"], (10, 3, 3)),
    "Country211": (
        lambda root, _: folders(root / "country211", ("train", "valid", "test")), ["ant", "bee"], (16, 16, 16)
    ),
    "GTSRB": (signs, ["0", "1"], (14, 2, 8)),
    "FGVCAircraft": (aircraft, ["707", "A 380"], (8, 8, 8)),
    "StanfordCars": (cars, ["Audi", "Fiat"], (14, 2, 16)),
    "SUN397": (scenes, ["abbey", "cave/indoor"], (10, 3, 3)),
    "RenderedSST2": (
        lambda root, _: folders(root / "rendered-sst2", ("train", "valid", "test"), ("negative", "positive")),
        ["negative", "positive"],
        (16, 16, 16),
    ),
    "Imagenette": (imagenette, ["tench", "English springer"], (16, 16, 0)),
    "ImageNet": (imagenet, ["crane (n02012849)", "Egyptian cat", "crane (n03126707)"], (24, 24, 0)),
    "Places365": (places, ["/a/abbey", "/c/cave"], (16, 16, 0)),
    "INaturalist": (species, ["00000_Animalia_Chordata_Aves_Gruiformes_Gruidae_Grus_a"], (16, 16, 0)),
    "Omniglot": (characters, ["Greek/character01", "Greek/character02"], (10, 3, 3)),
    "PCAM": (nodes, ["normal", "metastatic"], (8, 8, 8)),
    "KMNIST": (kmnist, ["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"], (90, 10, 100)),
    "EMNIST": (emnist, [*"0123456789"], (423, 47, 470)),
    "QMNIST": (qmnist, [*"0123456789"], (90, 10, 100)),
    "USPS": (usps, [*"0123456789"], (90, 10, 100)),
    "SEMEION": (semeion, [*"0123456789"], (30, 10, 10)),
    "FER2013": (faces, ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"], (63, 7, 14)),
}  # fmt: skip


@pytest.mark.parametrize("kind", get_args(Class))
def test_a_set_is_what_torchvision_says_of_its_files(
    kind: str, make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build, classes, counts = LAYOUTS[kind]
    build(tmp_path / "sets", monkeypatch)
    found = make("torchvision", dataset=kind, root=str(tmp_path / "sets"), download=False).load()
    assert found.classes[: len(classes)] == classes
    parts = found.parts()
    assert tuple(len(parts.get(name, ())) for name in ("train", "val", "test")) == counts
    theirs: dict[bytes, set[int]] = {}
    offline = {} if kind in WITHOUT_DOWNLOAD else {"download": False}
    for arguments in SETS[kind].parts.values():
        opened = getattr(datasets, kind)(str(tmp_path / "sets"), **arguments, **offline)
        for picture, label in opened:
            if kind == "Omniglot":  # numbers its characters as the file system lists them
                label = classes.index(opened._characters[label])
            label = label[1] if kind == "CelebA" else label  # of its attributes
            theirs.setdefault(np.asarray(picture.convert("RGB")).tobytes(), set()).add(int(label))
    for part in parts.values():
        for position in range(len(part)):
            seen = part.images[position].permute(1, 2, 0).contiguous().numpy().tobytes()
            assert int(part.labels[position]) in theirs[seen]
    ids = [id_ for part in parts.values() for id_ in part.ids]
    assert len(set(ids)) == len(ids)


def test_folds_divide_what_has_no_val_part(make: Any, tmp_path: Path) -> None:
    kmnist(tmp_path, None)
    asked = {"root": str(tmp_path), "download": False, "folds": 5, "split": [0.8, 0.2]}
    tested = [id_ for fold in range(5) for id_ in make("kmnist", fold=fold, **asked).load().test.ids]
    assert sorted(tested) == sorted(f"train/{number}" for number in range(100))


@pytest.mark.parametrize(("layout", "name"), [(textures, "dtd"), (nodes, "pcam")])
@pytest.mark.parametrize("key", [{"folds": 5, "fold": 0}, {"split": [0.8, 0.2]}])
def test_what_has_a_val_part_is_not_divided(
    layout: Any, name: str, key: dict[str, Any], make: Any, tmp_path: Path
) -> None:
    layout(tmp_path, None)
    problem = f"has its own train and val parts, so data.{next(iter(key))}="
    with pytest.raises(InputError, match=problem):
        make(name, root=str(tmp_path), download=False, **key).load()


def test_every_class_of_the_table_has_a_file_of_its_own() -> None:
    files = [each.read_text() for each in (builtin_dir() / "data").glob("*.yaml")]
    of = [line.partition(": ")[2] for text in files for line in text.splitlines() if line.startswith("dataset: ")]
    assert {each.partition(" ")[0] for each in of} == set(get_args(Class)) == set(SETS) == set(LAYOUTS)
    assert {name for name, table in SETS.items() if table.origin is None} == set(WITHOUT_DOWNLOAD)


def test_a_missing_set_is_named_with_a_way_out(make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def refuse(request: urllib.request.Request, **_: object) -> None:
        asked.append(request.full_url)
        raise OSError("no route to host")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    with pytest.raises(InputError, match=r"data=dtd: .*not downloaded: https://www\.robots\.ox\.ac\.uk: no route"):
        make("dtd", root=str(tmp_path)).load()
    assert len(asked) == 1
    with pytest.raises(InputError, match=r"data\.download is false; torchvision says: Dataset not found"):
        make("dtd", root=str(tmp_path), download=False).load()
    assert len(asked) == 1
    with pytest.raises(InputError, match="Put its files, which torchvision cannot download, below"):
        make("stanford_cars", root=str(tmp_path)).load()
    with pytest.raises(ConfigError, match="download=true has no meaning for data=stanford_cars"):
        make("stanford_cars", root=str(tmp_path), download=True)


def test_a_listed_file_that_is_missing_is_named(make: Any, tmp_path: Path) -> None:
    textures(tmp_path, None)
    (tmp_path / "dtd/dtd/images/dotted/3.png").unlink()
    with pytest.raises(InputError, match=r"dotted/3\.png: No such file or directory: delete the set's folder"):
        make("dtd", root=str(tmp_path)).load()


def test_a_test_part_without_labels_is_refused(make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    faces(tmp_path, monkeypatch)
    opened = datasets.FER2013(str(tmp_path), split="test")
    monkeypatch.setattr(datasets, "FER2013", lambda *_, **__: opened)
    opened._samples = [(torch.zeros(48, 48, dtype=torch.uint8), None)]
    with pytest.raises(InputError, match="the train part has no labels"):
        make("fer2013", root=str(tmp_path)).load()


def test_a_part_without_one_of_the_classes_is_refused(make: Any, tmp_path: Path) -> None:
    species(tmp_path, None)
    folder = next((tmp_path / "2021_valid").glob("*_b"))
    for path in folder.iterdir():
        path.unlink()
    folder.rename(folder.with_name(folder.name.replace("_b", "_c")))
    with pytest.raises(
        InputError, match=r"the val part below .* has other classes than the first \('00001_.*Grus_[bc]'\)"
    ):
        make("inaturalist", root=str(tmp_path)).load()


def test_a_damaged_file_of_patch_camelyon_is_named(make: Any, tmp_path: Path) -> None:
    nodes(tmp_path, None)
    path = tmp_path / "pcam/camelyonpatch_level_2_split_test_x.h5"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match=r"split_test_x\.h5: damaged: delete it"):
        make("pcam", root=str(tmp_path)).load()


def test_a_package_that_reads_a_set_is_named(make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ConfigError, match=r'data=pcam needs the package h5py.*pip install "cnntrain\[hdf5\]"'):
        make("pcam", root=str(tmp_path)).load()
