"""Your own signals: tables or arrays with labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cnntrain.core.errors import InputError
from cnntrain.core.paths import absolute
from cnntrain.core.words import listed
from cnntrain.data.base import Data
from cnntrain.data.sets.checks import refuse_download

if TYPE_CHECKING:
    from cnntrain.data.sets.arrays import Arrays
    from cnntrain.data.sets.dataset import DataSet, Labelled

SUFFIXES = (".csv", ".tsv", ".npy")


@dataclass(frozen=True)
class Signals(Data):
    """A file of signals, or a folder with a file for each part: ``train.csv``, ``val.csv``, ``test.csv``.

    A row of a table is a signal: its label, then its values; where no cell but the first can be a number, the first row
    is a header. An array .npy is [n, length] or [n, channels, length], with labels in ``<name>_labels.npy`` beside it.
    """

    dimensions = 1
    divides = True
    any_channels = True

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_download(self)
        if self.root is None:
            raise ValueError("root is required: data.root=<file .csv, .tsv or .npy, or folder with a file a part>")

    def load(self) -> DataSet:
        from cnntrain.data.sets.arrays import divided_set

        found, classes = self._found()
        return divided_set(self, found, classes)

    def labelled(self, part: str) -> Labelled:
        from cnntrain.data.sets.arrays import as_labelled

        found, classes = self._found()
        return as_labelled(self, found, classes, part)

    def _found(self) -> tuple[dict[str, Arrays], list[str]]:
        import numpy as np

        from cnntrain.data.sets.arrays import Arrays
        from cnntrain.data.sets.signal_files import read

        read_ = {name: read(path, labelled=True) for name, path in self._files().items()}
        known = {*(next(iter(read_.values())).labels or ())}  # of train, or of all
        for name, each in read_.items():
            if unknown := sorted({*(each.labels or ())} - known):
                raise InputError(f"{self.root}: the {name} part has classes that train lacks: {listed(unknown)}")
        numbers = all(label.lstrip("-").isdecimal() for label in known)
        classes = sorted(known, key=int) if numbers else sorted(known)
        if len(classes) < 2:
            raise InputError(f"{self.root}: needs signals of at least two classes, and has {listed(classes)}")
        position = {name: label for label, name in enumerate(classes)}
        found = {}
        for name, (values, labels) in read_.items():
            self._check(name, values.shape, next(iter(read_.values())).values.shape)
            own = np.array([position[each] for each in labels or ()], dtype=np.int64)
            found[name] = Arrays(values, own, [f"{name}/{number}" for number in range(len(own))])
        return found, classes

    def _check(self, part: str, shape: tuple[int, ...], first: tuple[int, ...]) -> None:
        if shape[1] != self.channels:
            raise InputError(
                f"{self.root}: the signals of {part} have {shape[1]} channels, and data.channels={self.channels}: "
                f"data.channels={shape[1]}"
            )
        if shape[2] != first[2]:
            raise InputError(f"{self.root}: signals of {part} have {shape[2]} values, others {first[2]}: one length")

    def _files(self) -> dict[str, Path]:
        """By part; one file is of all signals."""
        from cnntrain.data.sets.stratify import PARTS

        assert self.root is not None
        root = Path(absolute(self.root))
        if root.is_file():
            return {"all": root}
        if not root.is_dir():
            raise InputError(f"data.root: {root} is not there: give a file .csv, .tsv or .npy, or a folder")
        found: dict[str, Path] = {}
        for name in PARTS:
            own = [root / f"{name}{suffix}" for suffix in SUFFIXES if (root / f"{name}{suffix}").is_file()]
            if len(own) > 1:
                raise InputError(f"{root}: {listed([each.name for each in own])} could all be the {name} part")
            if own:
                found[name] = own[0]
        if "train" not in found:
            raise InputError(f"{root}: has no train.csv, train.tsv or train.npy")
        return found
