"""An evaluation, whole: what answers, on which images, and what is left of it in its folder and on the screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch

from cnntrain.build import judging
from cnntrain.build.judging import Answerer, Judged, Member, Views
from cnntrain.core import dist
from cnntrain.core.adversaries import pictures
from cnntrain.core.errors import InputError
from cnntrain.data.sets.cues import Cues
from cnntrain.data.sets.dataset import Labelled
from cnntrain.runs import closing
from cnntrain.runs.counts import Counts, Given
from cnntrain.runs.objects import Objects
from cnntrain.runs.predictions import Predictions
from cnntrain.runs.screen import Screen
from cnntrain.runs.sheet import SHEET, SHOWN, write_sheet
from cnntrain.runs.versions import versions
from cnntrain.study.evaluation import conflicts, folder, objects, pixels
from cnntrain.study.evaluation.corruptions import STRENGTHS, Corrupted
from cnntrain.study.evaluation.gain import gains
from cnntrain.study.evaluation.measures import measures
from cnntrain.tasks.base import Task
from cnntrain.tasks.classify import Classify

ALL = "together"  # what answers as one, beside its members


@dataclass(frozen=True)
class Asked:
    """What an evaluation is of.

    Attributes:
        members: the networks that answer as one, or of which one is averaged.
        images: with labels that are positions in the classes of the networks.
        val: of the run, where members are put together; None where it is not at hand.
        shift: other images by the name of their set, without those of unknown classes, and how many these are.
    """

    members: Sequence[Member]
    images: Labelled
    val: Labelled | None
    views: Views = "none"
    average: Literal["uniform", "greedy"] | None = None
    best: int | None = None  # of the members that are averaged
    shift: Mapping[str, tuple[Labelled, Mapping[str, int]]] = field(default_factory=dict)
    corruptions: Sequence[str] = ()
    cues: Cues | None = None
    pictures: bool = True


@dataclass
class Findings:
    """What answers, and what was found of it: on rank 0 whole, on the others without the figures of answers."""

    answerer: Answerer
    judged: Judged
    temperature: float | None
    facts: dict[str, Any]
    to_cues: Sequence[conflicts.Row] = ()


def evaluate(asked: Asked, command: str) -> Path:
    """Judge, write, and show. All ranks call this; returns the folder that was written."""
    found = _find(asked)
    first = asked.members[0].found
    path = first.path.parent
    if dist.rank() == 0:
        result = _result(asked, found, command)
        path = folder.place(first.path.parent / f"eval-{first.config.data.name}-{asked.images.name}", result)
        images = asked.images.part.images if asked.pictures else None
        folder.write(path, result, _marked(found), images)
        if first.config.task.target == "image":
            write_sheet(path / SHEET, pictures(first.network, range(SHOWN)))
        conflicts.write(path, found.to_cues)
        noted = [*asked.images.notes, *(asked.cues.images.notes if asked.cues else ())]
        _show(result, first.config.task, [*first.notes, *(f"note: {each}" for each in noted)])
    return dist.from_first(lambda: path)


def _find(asked: Asked) -> Findings:
    facts: dict[str, Any] = {}
    answerer = Answerer(asked.members, asked.views)
    if asked.average is not None and asked.val is not None:
        averaged, chosen = judging.soup(asked.members, asked.val, asked.best, asked.average == "greedy")
        answerer = Answerer([averaged], asked.views)
        facts["average"] = {"how": asked.average, "of": [each.name for each in chosen]}
        asked = replace(asked, members=chosen)
    temperature = asked.members[0].found.temperature
    plain = answerer.is_one and asked.average is None
    if not plain and asked.val is not None:
        on_val, alone = _with_each(asked, answerer, asked.val)
        facts["val"] = {**_metrics(alone), ALL: on_val.metrics}
        facts["better_on_val"] = _is_better(asked, facts["val"])
        temperature = _temperature(asked.members[0].found.config.task, on_val.predictions)
    elif not plain:
        temperature = None
    if plain:
        judged = answerer.judged(asked.images)
    else:
        judged, alone = _with_each(asked, answerer, asked.images)
        facts["members"] = _metrics(alone)
        facts["gain"] = _gains(asked.members[0].found.config.task, judged, alone)
    facts["shift"] = [_shifted(answerer, name, *other) for name, other in asked.shift.items()]
    facts["corruptions"] = {kind: _corrupted(answerer, asked.images, kind) for kind in asked.corruptions}
    to_cues = [] if asked.cues is None else _of_cues(answerer, asked.cues)
    if asked.cues is not None and to_cues:
        facts["cues"] = {"data": asked.cues.root, **conflicts.figures(to_cues, asked.cues)}
    return Findings(answerer, judged, temperature, facts, to_cues)


def _of_cues(answerer: Answerer, cues: Cues) -> list[conflicts.Row]:
    """On rank 0 what each image was taken for. All ranks call this."""
    predictions = answerer.judged(cues.images).predictions
    return [] if predictions is None else conflicts.rows(predictions, cues)


def _temperature(task: Task, answers: Predictions | None) -> float | None:
    return None if answers is None else task.temperature(answers.logits, answers.labels)


def _with_each(asked: Asked, answerer: Answerer, images: Labelled) -> tuple[Judged, dict[str, Judged]]:
    """What answers as one, and each member by itself."""
    if asked.average is None:
        return answerer.judged_with_each(images)
    return answerer.judged(images), Answerer(asked.members).judged_with_each(images)[1]


def _metrics(alone: Mapping[str, Judged]) -> dict[str, dict[str, float]]:
    return {name: each.metrics for name, each in alone.items()}


def _gains(task: Task, whole: Judged, alone: Mapping[str, Judged]) -> dict[str, dict[str, Any]]:
    """On rank 0, of images with one label each."""
    members = [each.predictions for each in alone.values() if each.predictions is not None]
    if whole.predictions is None or whole.predictions.labels.ndim > 1:
        return {}
    return gains(whole.predictions, members, task.columns)


def _is_better(asked: Asked, on_val: Mapping[str, Mapping[str, float]]) -> bool:
    """Whether what answers as one is better than each of its members, on val."""
    named = {name: {f"val/{key}": value for key, value in metrics.items()} for name, metrics in on_val.items()}
    whole = named.pop(ALL)
    return all(asked.members[0].found.config.is_better(whole, each) for each in named.values())


def _shifted(answerer: Answerer, name: str, images: Labelled, unknown: Mapping[str, int]) -> dict[str, Any]:
    """Metrics on another set."""
    facts = {"data": name, "part": images.name, "unknown": dict(unknown)}
    if not len(images.part):
        return {**facts, "count": 0}
    task, judged = answerer.members[0].found.config.task, answerer.judged(images)
    return {**facts, **judged.metrics, "interval": task.intervals(judged.metrics, judged.answers)}


def _corrupted(answerer: Answerer, images: Labelled, kind: str) -> list[dict[str, float]]:
    """Metrics at each strength."""
    part = images.part
    worse = (Corrupted(part.images, kind, strength) for strength in range(1, STRENGTHS + 1))
    return [answerer.judged(replace(images, part=replace(part, images=each))).metrics for each in worse]


def _result(asked: Asked, found: Findings, command: str) -> dict[str, Any]:
    first, images = asked.members[0], asked.images
    config, answers = first.found.config, found.judged.answers
    assert answers is not None or config.task.target == "image", "rank 0 has them"
    columns = config.task.columns
    return {
        "checkpoint": str(first.found.path),
        "epoch": first.found.epoch,
        "model": config.model.name,
        "task": {"name": config.task.name, "columns": [asdict(each) for each in columns]},
        "data": {
            "name": config.data.name,
            "part": images.name,
            **config.data.places(),
            "fingerprint": images.fingerprint,
        },
        "preprocess": asdict(first.seen),
        "classes": len(first.found.classes),
        "of": [each.name for each in asked.members],
        "tta": asked.views,
        **found.facts,
        "majority": config.task.majority(images.part.labels),
        **_figures(answers, found.temperature),
        **found.judged.metrics,
        "interval": config.task.intervals(found.judged.metrics, answers),
        "versions": versions(),
        "command": command,
    }


def _figures(answers: Given | None, temperature: float | None) -> dict[str, Any]:
    if answers is None:  # made images are answers to none
        return {}
    if isinstance(answers, Counts):
        return {"per_class": pixels.per_class(answers)}
    if isinstance(answers, Objects):
        return {"per_class": objects.per_class(answers)}
    return measures(answers, temperature) if answers.labels.ndim == 1 else {}


def _marked(found: Findings) -> Given | None:
    """The answers, with what was found for them elsewhere."""
    answers = found.judged.answers
    if answers is None:
        return None
    return replace(answers, about={**answers.about, "temperature": found.temperature})


def again(predictions: Predictions, place: Path, command: str) -> Path:
    """Compute every figure of answers that were given before; they are left beside them."""
    about = predictions.about
    if predictions.labels.ndim == 2:
        raise InputError(
            f"{place} holds answers of any number of labels an image, whose figures come from the network: "
            "give run=<run folder>"
        )
    value = about.get("temperature")
    task = Classify(name="classify", metrics=[], loss="cross_entropy", gamma=None)
    metrics = judging.metrics_of(task.start(0.0, 0.0), predictions, torch.device("cpu"))
    found = measures(predictions, float(value) if isinstance(value, int | float) else None)
    data = {"name": "predictions", **(about.get("data") or {})}
    result = {
        **about,
        "data": {**data, "part": about.get("part", ""), "fingerprint": about.get("fingerprint")},
        **folder.read(place),
        "classes": len(predictions.classes),
        "majority": found["baselines"]["majority"],
        **found,
        **metrics,
        "loss": float(predictions.losses.mean()),
        "interval": task.intervals(metrics, predictions),
        "versions": versions(),
        "command": command,
    }
    folder.write(place, result, predictions, None)
    screen = Screen(None)
    for each in closing.evaluation(result, task.columns):
        screen.say(each)
    return place


def _show(result: Mapping[str, Any], task: Task, notes: Sequence[str]) -> None:
    screen = Screen(None)
    for each in [*notes, *closing.evaluation(result, task.columns)]:
        screen.say(each)
