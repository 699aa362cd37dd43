"""``cnntrain export``: a trained network as a file for other programs, proven to answer as the network does."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cnntrain.config.schema import Command, Ended
from cnntrain.core import extras
from cnntrain.core.errors import ConfigError, InputError
from cnntrain.core.limits import Count, NotNegative, Place
from cnntrain.core.targets import INSTEAD
from cnntrain.core.words import tell

LATEST = "latest"
CLOSE, LOST = 1e-4, 0.01  # of a probability, of an accuracy


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
        if self.format == "onnx":
            extras.needed_for_onnx("format=onnx")
        import torch

        from cnntrain.build import trained
        from cnntrain.export import exporting, kinds, parity, quantizing, subject
        from cnntrain.runs import checkpoint, folder
        from cnntrain.runs.versions import versions

        path = self._path()
        state = checkpoint.load_run(path)
        found = trained.read(path, torch.device("cpu"), subject.on_cpu)
        kind = kinds.of(found.config.task.target)
        if self.int8 and not kind.gives_logits:
            raise ConfigError(
                f"int8=true is of networks that give logits, and task={found.config.task.name} "
                f"{INSTEAD[found.config.task.target]}: leave it out"
            )
        asked = exporting.Asked(
            found=found,
            state=_with_places(state, found.config.data.places()),
            val=subject.val_of(found, self.val_limit),
            format=self.format,
            fold=self.fold is not False and self.format != "safetensors",
            calibrate=(self.calibrate or quantizing.CALIBRATED) if self.int8 else None,
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


def _with_places(state: Mapping[str, Any], places: Mapping[str, str]) -> dict[str, Any]:
    """Of a checkpoint what it holds, with the places in which the data of its run were found."""
    config = state["config"]
    return {**state, "config": {**config, "data": {**config["data"], **places}}}
