"""Answers to images without labels, by one network or by several as one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cnntrain.build.trained import Trained
from cnntrain.core.errors import InputError
from cnntrain.core.words import listed
from cnntrain.data.sets import clips, signal_files
from cnntrain.data.sets.clips import ClipImages
from cnntrain.data.sets.dataset import Images
from cnntrain.data.sets.files import FileImages
from cnntrain.data.sets.named import names
from cnntrain.data.sets.signal_files import FileSignals

Inputs = Callable[[Trained], Images]  # as a network's run reads them


def files(names: Sequence[str]) -> Inputs:
    """Images of files."""
    return lambda found: FileImages("", names, found.seen.reading)


def named(found: Trained, images: str) -> tuple[list[str], Inputs]:
    """What is to be judged: names, and the inputs themselves.

    Args:
        images: see `sets.named.names`; of signals a file, see `signal_files.given`; of volumes see `clips.given`.

    Raises:
        InputError: there are none, or they are of another shape than the network takes.
    """
    if found.seen.dimensions == 1:
        values = signal_files.given(images, found.seen.shape)
        return _numbered(images, len(values)), lambda _: FileSignals(values)
    if found.seen.dimensions == 3:
        volumes = clips.given(images)
        return volumes, lambda each: ClipImages("", volumes, each.seen.reading)
    paths = names(images)
    return paths, files(paths)


def listed_inputs(found: Trained, images: str) -> tuple[Sequence[Any], list[str]]:
    """The same one by one, as `Trained.shown` takes them, with their names."""
    if found.seen.dimensions == 1:
        values = signal_files.given(images, found.seen.shape)
        return [*values], _numbered(images, len(values))
    paths, _ = named(found, images)
    return paths, paths


def _numbered(file: str, count: int) -> list[str]:
    return [f"{file}:{number}" for number in range(1, count + 1)]


def answers(members: Sequence[Trained], inputs: Inputs) -> Iterator[tuple[Tensor, list[str]]]:
    """The mean of the probabilities that members give, float64 [images, classes], a batch at a time in the order of the
    files, and for each file why it cannot be read, empty where it can. Members that see images alike read them once.
    """
    data = members[0].config.data
    members = [replace(each, config=replace(each.config, data=data)) for each in members]  # in the same batches
    groups = [list(each) for _, each in groupby(sorted(members, key=_look), key=_look)]
    streams = [each[0].through(_sum(each), inputs(each[0])) for each in groups]
    for batches in zip(*streams, strict=True):
        total = torch.stack([rows for rows, _ in batches]).sum(0)
        yield (
            total / len(members),
            [next(filter(None, each), "") for each in zip(*(p for _, p in batches), strict=True)],
        )


def _look(found: Trained) -> str:
    """Equal for networks that are given the same tensors."""
    trainer = found.config.trainer
    return f"{type(found)} {found.seen} {trainer.precision} {trainer.memory_format}"


def _sum(members: Sequence[Trained]) -> Callable[[Tensor], Tensor]:
    return lambda seen: torch.stack([each.probabilities(seen) for each in members]).sum(0)


def threshold(members: Sequence[Trained], share: float) -> float:
    """The greatest probability below which an answer is none: so low that of the right answers on val at most this
    share is lost.

    Raises:
        InputError: what a run answered on val is not known, or not the same images were judged.
    """
    from cnntrain.runs import predictions
    from cnntrain.tasks.classify.calibration import probabilities

    paths = [each.path.parent / "val" / predictions.PREDICTIONS for each in members]
    found = [predictions.read(each) for each in paths]
    for member, path, each in zip(members, paths, found, strict=True):
        if each.about.get("epoch") != member.epoch or list(each.classes) != member.classes:
            raise InputError(f"reject: {path} is not of {member.path}: only a run's best checkpoint has answers on val")
        if list(each.ids) != list(found[0].ids):
            raise InputError(f"reject: {path} and {paths[0]} are of other images: ensembles need one val part")
        if each.labels.ndim != 1:
            raise InputError(f"reject: {path} is of images with several labels each")
    each_run = [
        probabilities(each.logits, member.temperature or 1.0) for member, each in zip(members, found, strict=True)
    ]
    whole = np.mean(each_run, axis=0)
    right = whole.argmax(1) == found[0].labels
    if not right.any():
        raise InputError(f"reject: {listed([str(each.path) for each in members])} gave no right answer on val")
    return float(np.quantile(whole.max(1)[right], share, method="lower"))
