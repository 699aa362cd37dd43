"""From a trained network to a folder that other programs use, once it is proven that it answers as the network does."""

from __future__ import annotations

import copy
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from cnntrain.build.judging import Member
from cnntrain.build.trained import Trained
from cnntrain.core import plain_json
from cnntrain.core.digest import digest
from cnntrain.core.errors import InputError
from cnntrain.core.files import write_atomic, writing
from cnntrain.data.sets.dataset import Labelled
from cnntrain.export import abreast, bundle, card, kinds, layout, onnx_file, parity, program, quantizing
from cnntrain.export.bundle import FORMAT, Meta
from cnntrain.export.inputs import laid_out
from cnntrain.export.parity import Proof
from cnntrain.export.program import Computing
from cnntrain.runs.counts import leave

ONNX, TORCH, FACTS, CARD = "model.onnx", "model.pt2", "export.json", "README.md"
Format = Literal["onnx", "torch", "safetensors"]


@dataclass(frozen=True)
class Asked:
    """What is exported, and how it is proven.

    Attributes:
        found: computes in float32 or float64 on the CPU.
        state: of its checkpoint, what is not in `found`: config, imports.
        val: with labels that are positions in the classes of the network.
        calibrate: images by which the ranges of 8 bits are found; None: it stays in float32.
        result: the run's, where it has ended.
    """

    found: Trained
    state: Mapping[str, Any]
    val: Labelled
    format: Format
    fold: bool
    calibrate: int | None
    tolerance: float
    temperature: float | None
    result: Mapping[str, Any]
    versions: Mapping[str, str]
    command: str


def export(asked: Asked, target: Path) -> Proof:
    """Write the folder `target`, which is not there yet.

    Raises:
        InputError: it is there.
        RunError: what was exported does not answer as the network does, or the disk is full; nothing is left.
    """
    task = asked.found.config.task
    with new(target) as folder:
        exported, facts = _write(asked, folder)
        members = [Member(each, each.seen) for each in (program.chosen(asked.found), exported)]
        before, after = abreast.judged(members, asked.val, asked.temperature)
        proof = parity.proof(task, asked.val, before, after)
        parity.require(proof, task, asked.tolerance, by_metric=asked.calibrate is not None)
        if after.judged.answers is not None:
            leave(folder / asked.val.name, after.judged.answers)
        more = {"proof": asdict(proof), "format": asked.format, "target": task.target, "command": asked.command}
        facts = {**facts, **more}
        write_atomic(folder / FACTS, plain_json.text(facts, indent=2).encode())
        write_atomic(folder / CARD, card.text(facts, task.columns[0], asked.result).encode())
    return proof


@contextmanager
def new(target: Path) -> Iterator[Path]:
    """A folder that gets its name when the block has ended well, and is gone when it has not."""
    if target.exists():
        raise InputError(f"{target} is there already: remove it, or give output=<another folder>")
    beside = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with writing(beside):
            beside.mkdir(parents=True)
        yield beside
        with writing(target):
            os.rename(beside, target)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _write(asked: Asked, folder: Path) -> tuple[Trained, dict[str, Any]]:
    """What was exported, read back so that it can be judged, and what is known of it."""
    found = asked.found
    meta, kind = _meta(asked), kinds.of(found.config.task.target)
    if asked.format == "safetensors":
        layout.write(folder, found)
        network, by_timm = layout.loaded(folder, found)
        more = {"timm": by_timm, "arguments": layout.arguments(found), **kind.known(found)}
        return program.chosen(replace(found, network=network)), {**meta, **more}
    module = kind.module(replace(found, network=copy.deepcopy(found.network)), asked.temperature)
    exported = program.program(module)
    meta["folded"] = program.fold(exported) if asked.fold else 0
    meta.update(kind.known(found))  # type: ignore[typeddict-item]
    if asked.format == "onnx":
        path = folder / ONNX
        _write_onnx(asked, module, exported, path)
        onnx_file.mark(path, meta)
        read: Trained = bundle.read(path)
    else:
        path = folder / TORCH
        with writing(path), onnx_file.quiet():
            torch.export.save(exported, path, extra_files={"cnntrain.json": plain_json.text(meta)})
        read = _read_torch(path, meta)
    return kind.judged(found, read), {**meta}


def _write_onnx(asked: Asked, module: Computing, exported: torch.export.ExportedProgram, path: Path) -> None:
    names = module.name, module.sizes, module.results
    if asked.calibrate is None:
        onnx_file.write(path, exported, *names)
        return
    whole = path.with_name("whole.onnx")
    onnx_file.write(whole, exported, *names)
    samples = asked.val.part.images
    places = quantizing.spread(len(samples), asked.calibrate)
    quantizing.quantize(whole, path, module.name, (laid_out(samples[each]) for each in places))
    whole.unlink()


def _read_torch(path: Path, meta: Meta) -> Trained:
    """A program that this process has just written: others might run code."""
    module = torch.export.load(path).module()

    def graph(values: np.ndarray) -> list[np.ndarray]:
        return [each.detach().numpy() for each in module(torch.from_numpy(values))]

    return bundle.of(path, lambda results: graph, meta)


def _meta(asked: Asked) -> Meta:
    found, state = asked.found, asked.state
    return Meta(
        format=FORMAT,
        config=dict(state["config"]),
        imports=list(state["imports"]),
        classes=found.classes,
        preprocess=asdict(found.seen),
        epoch=found.epoch,
        best=found.best,
        fingerprint=found.fingerprint,
        temperature=asked.temperature,
        weights_sha256=digest(found.network.state_dict()),
        folded=0,
        int8=asked.calibrate is not None,
        versions=dict(asked.versions),
    )
