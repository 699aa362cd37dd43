"""What torchvision says of its sets: which files are of which part and class, or the images themselves."""

from __future__ import annotations

import contextlib
import socket
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cnntrain.core import network
from cnntrain.core.errors import InputError, first_line
from cnntrain.data.base import Data
from cnntrain.data.sets.arrays import Arrays, divided_set
from cnntrain.data.sets.dataset import DataSet
from cnntrain.data.sets.extras import needed
from cnntrain.data.sets.files import file_set
from cnntrain.data.sets.listing import Sample, sample

BY_SPLIT = {"train": {"split": "train"}, "test": {"split": "test"}}
BY_FLAG = {"train": {"train": True}, "test": {"train": False}}
WHOLE: dict[str, dict[str, Any]] = {"all": {}}


@dataclass(frozen=True)
class Table:
    """How a class of torchvision's is asked.

    Attributes:
        origin: where it downloads from; None: it cannot.
        parts: the arguments by which it gives each of ours; ``all``: it comes in none.
        classes: names, where it gives none; of so many numbers where that is an integer.
        needs: a package that reads its files, and our extra that brings it.
    """

    origin: str | None
    parts: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: WHOLE)
    classes: Sequence[str] | int | None = None
    needs: tuple[str, str] | None = None


NAMES = ("categories", "all_categories", "_characters", "classes")  # of classes, by what torchvision calls them
THREE = {**BY_SPLIT, "val": {"split": "val"}}
WITHOUT_TEST = {"train": {"split": "train"}, "val": {"split": "val"}}
FEELINGS = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]
SETS = {
    "Caltech101": Table("https://drive.google.com"),
    "Caltech256": Table("https://drive.google.com"),
    "CelebA": Table("https://drive.google.com", {**BY_SPLIT, "val": {"split": "valid"}}, ["female", "male"]),
    "Country211": Table("https://openaipublic.azureedge.net", {**BY_SPLIT, "val": {"split": "valid"}}),
    "DTD": Table("https://www.robots.ox.ac.uk", THREE),
    "EMNIST": Table(
        "https://biometrics.nist.gov",
        {"train": {"split": "balanced", "train": True}, "test": {"split": "balanced", "train": False}},
    ),
    "EuroSAT": Table("https://huggingface.co"),
    "FER2013": Table(None, BY_SPLIT, FEELINGS),
    "FGVCAircraft": Table("https://www.robots.ox.ac.uk", THREE),
    "Flowers102": Table("https://thor.robots.ox.ac.uk", THREE, 102),
    "Food101": Table("https://data.vision.ee.ethz.ch", BY_SPLIT),
    "GTSRB": Table("https://sid.erda.dk", BY_SPLIT, 43),
    "INaturalist": Table(
        "https://ml-inat-competition-datasets.s3.amazonaws.com",
        {"train": {"version": "2021_train_mini"}, "val": {"version": "2021_valid"}},
    ),
    "ImageNet": Table(None, WITHOUT_TEST),
    "Imagenette": Table("https://s3.amazonaws.com", WITHOUT_TEST),
    "KMNIST": Table("http://codh.rois.ac.jp", BY_FLAG),
    "Omniglot": Table("https://raw.githubusercontent.com"),
    "OxfordIIITPet": Table("https://thor.robots.ox.ac.uk", {**BY_SPLIT, "train": {"split": "trainval"}}),
    "PCAM": Table("https://drive.google.com", THREE, ["normal", "metastatic"], ("h5py", "hdf5")),
    "Places365": Table(
        "http://data.csail.mit.edu",
        {"train": {"split": "train-standard", "small": True}, "val": {"split": "val", "small": True}},
    ),
    "QMNIST": Table("https://raw.githubusercontent.com", BY_FLAG, 10),
    "RenderedSST2": Table("https://openaipublic.azureedge.net", THREE),
    "SEMEION": Table("http://archive.ics.uci.edu", WHOLE, 10),
    "SUN397": Table("http://vision.princeton.edu"),
    "StanfordCars": Table(None, BY_SPLIT),
    "USPS": Table("https://www.csie.ntu.edu.tw", BY_FLAG, 10),
}  # fmt: skip
IN_ONE_FILE = ("FER2013", "PCAM")  # all images, which torchvision does not keep as `data`


def load(source: Data, root: Path, kind: str) -> DataSet:
    """The set of torchvision's class `kind` in a folder, downloaded first where that is wanted and possible.

    Raises:
        ConfigError: a package that reads the files is not installed.
        InputError: files are missing and cannot be downloaded, or are damaged.
    """
    table = SETS[kind]
    if table.needs is not None:
        needed(source, *table.needs)
    opened = {name: _open(source, root, kind, arguments) for name, arguments in table.parts.items()}
    first = next(iter(opened.values()))
    classes = _classes(first, table, kind)
    for name, each in opened.items():
        _check_classes(source, root, name, classes, _classes(each, table, kind))
    if hasattr(first, "data") or kind in IN_ONE_FILE:
        return divided_set(source, {name: _arrays(each, name) for name, each in opened.items()}, classes)
    found = {name: _samples(each, root, classes) for name, each in opened.items()}
    order = sorted(classes) if kind == "Omniglot" else classes  # of which torchvision has that of the file system
    return file_set(source, root, found, order=order)


def _open(source: Data, root: Path, kind: str, arguments: Mapping[str, Any]) -> Any:
    """Torchvision's object, which verifies what it downloads by md5."""
    from torchvision import datasets

    make, origin = getattr(datasets, kind), SETS[kind].origin
    given = dict(arguments) if origin is None else {**arguments, "download": False}
    try:
        return make(str(root), **given)
    except MemoryError:
        raise
    except Exception as error:  # missing is a RuntimeError or an OSError, damaged may be anything
        problem = error
    if origin is not None and source.download:
        problem = OSError(network.unreachable([origin]) or "")
        if not str(problem):
            try:
                return _downloaded(make, root, given)
            except Exception as error:
                problem = error
    elif origin is not None:
        problem = OSError(f"data.download is false; torchvision says: {problem}")
    raise _missing(source, root, kind, origin, problem) from problem


def _downloaded(make: Any, root: Path, given: Mapping[str, Any]) -> Any:
    """In limited time, with what is said on the way on stderr."""
    root.mkdir(parents=True, exist_ok=True)
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(network.SECONDS)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return make(str(root), **{**given, "download": True})
    finally:
        socket.setdefaulttimeout(before)


def _missing(source: Data, root: Path, kind: str, origin: str | None, error: Exception) -> InputError:
    reason = first_line(error)
    away = f" from {origin}" if origin else ", which torchvision cannot download,"
    return InputError(
        f"data={source.name}: not found, or damaged, and not downloaded: {reason}\n"
        f"  Put its files{away} below {root}, as torchvision.datasets.{kind} lays them out,\n"
        "  or set data.root=<the folder of another copy>, or take data=digits or data=fake, which need no download."
    )


def _classes(opened: Any, table: Table, kind: str) -> list[str]:
    """Names in the order of the labels."""
    given = table.classes
    if given is None:
        given = next(getattr(opened, name) for name in NAMES if hasattr(opened, name))
    if isinstance(given, int):
        given = [str(number) for number in range(given)]
    if kind == "Caltech256":  # "001.ak47"
        return [each.partition(".")[2] for each in given]
    names = [each if isinstance(each, str) else each[0] for each in given]  # ImageNet has synonyms
    times, numbers = Counter(names), getattr(opened, "wnids", names)
    return [each if times[each] == 1 else f"{each} ({numbers[n]})" for n, each in enumerate(names)]  # and two cranes


def _check_classes(source: Data, root: Path, part: str, known: Sequence[str], found: Sequence[str]) -> None:
    """Torchvision numbers the classes of some sets by the folders of a part: one missing, and labels are others'."""
    if found != known:
        name = next(iter(set(known) ^ set(found)), "")
        raise InputError(
            f"data={source.name}: the {part} part below {root} has other classes than the first ({name!r}): "
            "delete the set's folder, so that it is unpacked again"
        )


def _samples(opened: Any, root: Path, classes: Sequence[str]) -> list[Sample]:
    """The files of a part, in the order of their paths."""
    return sorted(_sample(root, Path(path), classes[int(label)]) for path, label in _labelled(opened))


def _sample(root: Path, path: Path, label: str) -> Sample:
    try:
        return sample(path.relative_to(root).as_posix(), label, path.stat())
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}: delete the set's folder, so that it is unpacked again") from error


def _labelled(opened: Any) -> list[tuple[str, int]]:
    """Paths and labels, which each of torchvision's classes keeps under names of its own."""
    if hasattr(opened, "categories"):  # Caltech's
        folder = next(Path(opened.root).glob("*_ObjectCategories"))
        files = [(label, folder / name) for label, name in enumerate(opened.categories)]
        return [(str(each), label) for label, path in files for each in sorted(path.glob("*.jpg"))]
    if hasattr(opened, "attr_names"):  # CelebA's, of 40 attributes one
        folder = Path(opened.root) / opened.base_folder / "img_align_celeba"
        male = opened.attr[:, opened.attr_names.index("Male")].tolist()
        return [(str(folder / name), label) for name, label in zip(opened.filename, male, strict=True)]
    for name in ("samples", "_samples", "imgs"):
        if hasattr(opened, name):
            return list(getattr(opened, name))
    if hasattr(opened, "all_categories"):  # iNaturalist's
        return [(str(Path(opened.root) / opened.all_categories[label] / name), label) for label, name in opened.index]
    if hasattr(opened, "_characters"):  # Omniglot's
        folders = [Path(opened.target_folder) / each for each in opened._characters]
        return [(str(folders[label] / name), label) for name, label in opened._flat_character_images]
    paths = opened._image_files if hasattr(opened, "_image_files") else opened._images
    return list(zip(map(str, paths), opened._labels, strict=True))


def _arrays(opened: Any, name: str) -> Arrays:
    """Images with their labels."""
    if hasattr(opened, "h5py"):
        return _camelyon(opened, name)
    if hasattr(opened, "data"):
        images = np.asarray(opened.data)
        labels = np.asarray(opened.targets if hasattr(opened, "targets") else opened.labels)
        labels = labels[:, 0] if labels.ndim == 2 else labels  # QMNIST's writers and forms stand beside
    else:
        if any(label is None for _, label in opened._samples):
            raise InputError(f"the {name} part has no labels: FER-2013 has them in fer2013.csv and icml_face_data.csv")
        images = np.stack([image.numpy() for image, _ in opened._samples])
        labels = np.array([label for _, label in opened._samples])
    return Arrays(images[:, None], labels.astype(np.int64), [f"{name}/{number}" for number in range(len(labels))])


def _camelyon(opened: Any, name: str) -> Arrays:
    """PatchCamelyon's part, read whole: torchvision opens its two files anew for each image."""
    found = {}
    for key, of in (("images", "x"), ("targets", "y")):
        path = opened._base_folder / opened._FILES[opened._split][key][0]
        try:
            with opened.h5py.File(path) as file:
                found[key] = file[of][:]
        except (OSError, KeyError) as error:  # h5py's words for a damaged file
            raise InputError(f"{path}: damaged: delete it, so that it is downloaded again ({error})") from error
    ids = [f"{name}/{number}" for number in range(len(found["targets"]))]
    return Arrays(found["images"].transpose(0, 3, 1, 2), found["targets"].reshape(-1).astype(np.int64), ids)
