"""``cnntrain export``: a trained network as a file for other programs, proven to answer as the network does."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cnntrain.config.schema import Command, Ended
from cnntrain.core.errors import InputError
from cnntrain.core.limits import Count, NotNegative, Place
from cnntrain.core.words import listed, tell

if TYPE_CHECKING:
    from cnntrain.build.trained import Trained
    from cnntrain.data.sets.dataset import Labelled

LATEST = "latest"
HALF = ("bfloat16", "float16")
CLOSE, LOST = 1e-4, 0.01  # of a probability, of an accuracy
CALIBRATED = 256  # images
EXTRA = ("onnx", "onnxscript", "onnxruntime")


@dataclass(frozen=True)
class Export(Command):
    """One folder, which is written whole or not at all."""

    run: Place | None
    checkpoint: Place | None
    format: Literal["onnx", "torch", "safetensors"]
    fold: bool | None  # None: yes, where there is a graph
    int8: bool
    calibrate: Count | None
    tolerance: NotNegative | None
    val_limit: Count | None
    output: Place | None
    runs: Place  # where the latest run is looked for

    def __post_init__(self) -> None:
        if (self.run is None) == (self.checkpoint is None):
            raise ValueError("give run=<run folder> or checkpoint=<file>")
        if self.fold and self.format == "safetensors":
            raise ValueError("fold=true changes the layers, and format=safetensors has timm's: leave it out")
        if self.int8 and self.format != "onnx":
            raise ValueError(f"int8=true goes with format=onnx, not with format={self.format}")
        if self.calibrate is not None and not self.int8:
            raise ValueError("calibrate says by how many images int8=true finds its ranges: add it, or leave it out")

    def execute(self, typed: Sequence[str]) -> Ended:
        """Write, read back, compare over val, and only then give the folder its name."""
        target = self._target()
        self._require_packages()
        import torch

        from cnntrain.build import trained
        from cnntrain.export import exporting, parity
        from cnntrain.runs import checkpoint, folder
        from cnntrain.runs.versions import versions

        path = self._path()
        state = checkpoint.load_run(path)
        found = trained.read(path, torch.device("cpu"), _adjusted)
        asked = exporting.Asked(
            found=found,
            state=_with_places(state, found.config.data.places()),
            val=self._val(found),
            format=self.format,
            fold=self.fold is not False and self.format != "safetensors",
            calibrate=(self.calibrate or CALIBRATED) if self.int8 else None,
            tolerance=self.tolerance if self.tolerance is not None else LOST if self.int8 else CLOSE,
            temperature=found.temperature,
            result=folder.result(path.parent) or {},
            versions=versions(),
            command=shlex.join(["cnntrain", "export", *typed]),
        )
        precision = state["config"]["trainer"]["precision"]
        if precision != "float32":
            tell(f"note: the run computed in {precision}, and the exported network computes in float32")
        target = target or path.parent / f"export-{self.format}{'-int8' if self.int8 else ''}"
        proof = exporting.export(asked, target)
        for each in (*found.notes, parity.line(proof, found.config.task)):
            tell(each)
        return Ended(made=str(target))

    def _require_packages(self) -> None:
        from cnntrain.core import extras

        if self.format == "onnx":
            for each in EXTRA:
                extras.needed("format=onnx", each, "export")

    def _target(self) -> Path | None:
        """The folder that is asked for, where one is."""
        target = None if self.output is None else Path(self.output)
        if target is not None and target.exists():
            raise InputError(f"output={target} is there already: remove it, or give another folder")
        return target

    def _path(self) -> Path:
        from cnntrain.build import trained
        from cnntrain.runs import checkpoint, folder

        if self.checkpoint is not None:
            return Path(self.checkpoint)
        assert self.run is not None, "one of the two is given"
        return trained.best_of(
            folder.latest(Path(self.runs), checkpoint.BEST) if self.run == LATEST else Path(self.run)
        )

    def _val(self, found: Trained) -> Labelled:
        """Labels are positions in the network's classes.

        Raises:
            InputError: the run's data have classes now that it does not know.
        """
        from cnntrain.build.data import load_data
        from cnntrain.data.sets.subset import known, val_limited

        data = val_limited(load_data(found.config.data), self.val_limit)
        images, unknown = known(data.labelled("val"), found.classes)
        if unknown:
            raise InputError(
                f"the run's data have classes now that it was not trained on: {listed(sorted(unknown))}; what is "
                "exported is judged on the data of its run"
            )
        return images


def _with_places(state: Mapping[str, Any], places: Mapping[str, str]) -> dict[str, Any]:
    """Of a checkpoint what it holds, with the places in which the data of its run were found."""
    config = state["config"]
    return {**state, "config": {**config, "data": {**config["data"], **places}}}


def _adjusted(tree: Mapping[str, Any]) -> Mapping[str, Any]:
    """The run's configuration for one process on the CPU, which has no need of half precisions."""
    trainer = {**tree["trainer"], "device": "cpu", "grad_accum": 1, "cuda_graphs": False}
    if trainer["precision"] in HALF:
        trainer["precision"] = "float32"
    return {**tree, "trainer": trainer, "devices": 1}
