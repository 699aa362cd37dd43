"""Trained networks judged on images: one alone, in several views, several that answer as one, an average of weights."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from cnntrain.build import objectives
from cnntrain.build.trained import Trained
from cnntrain.core import dist, stopping
from cnntrain.core.errors import InputError
from cnntrain.core.keys import flat, is_within
from cnntrain.data.batches.plan import Share, eval_plan
from cnntrain.data.batches.preprocess import Preprocess
from cnntrain.data.sets.dataset import Labelled
from cnntrain.runs import generations
from cnntrain.runs.counts import Given
from cnntrain.runs.predictions import Predictions
from cnntrain.study.evaluation.views import LARGER, Crops, Flips, Shifts, mean_logits
from cnntrain.tasks.base import Objective, UnchosenError
from cnntrain.training.answers import Answers
from cnntrain.training.loop import evaluate

Views = Literal["none", "flip", "shifts", "crops"]
# keys of the model that say what its weights are at the start, or what training does with them
BEGINNING = ("model.pretrained", "model.weights", "model.weights_match", "model.drop_rate", "model.aux_weight")


@dataclass(frozen=True)
class Judged:
    """Metrics over all ranks, and on rank 0 the answers that they are of."""

    metrics: dict[str, float]
    answers: Given | None

    @property
    def predictions(self) -> Predictions | None:
        """The answers, where they are to images as a whole."""
        return self.answers if isinstance(self.answers, Predictions) else None


@dataclass(frozen=True)
class Member:
    """A trained network, and how it sees the images that are asked for."""

    found: Trained
    seen: Preprocess

    @property
    def name(self) -> str:
        return str(self.found.path)

    @property
    def objective(self) -> Objective:
        return objectives.start(self.found.config, self.found.device)

    def judged(self, images: Labelled, views: Views = "none", objective: Objective | None = None) -> Judged:
        """On images whose labels are positions in its classes, by the function that training used. All ranks call
        this.

        Args:
            objective: by which it is judged; None: its own run's.

        Raises:
            InputError: the run had no validation yet to choose among its settings.
            StopError: a signal came.
        """
        found, network, seen = self.found, self.found.network, self.seen
        if views == "flip":
            network = Flips(network)
        elif views == "shifts":
            network = Shifts(network)
        elif views == "crops":
            network = Crops(network, seen.image_size)
            seen = replace(seen, image_size=round(seen.image_size * LARGER), crop_fraction=1.0)
        plan = eval_plan(len(images.part), found.config.data.batch_size, Share(dist.rank(), dist.world_size(), 1))
        setting = (found.best or {}).get("val/setting")
        objective = objective or self.objective
        answers = Answers(objective, None if setting is None else int(setting))
        try:
            metrics = evaluate(
                network, found.batches(images.part, seen, plan), objective, found.precision, stopping.heed, answers
            )
            chosen = metrics.chosen_by(found.best)
        except UnchosenError as error:
            raise InputError(f"{found.path}: {error}") from error
        return Judged(chosen, answers.of(images.part, found.classes, self.about(images)))

    def about(self, images: Labelled) -> dict[str, Any]:
        """What is told of answers to images."""
        config = self.found.config
        return {
            "model": config.model.name,
            "task": config.task.name,
            "part": images.name,
            "epoch": self.found.epoch,
            "checkpoint": str(self.found.path),
            "data": {"name": config.data.name, **config.data.places()},
            "fingerprint": images.fingerprint,
        }


@dataclass(frozen=True)
class Answerer:
    """One network, or several whose probabilities are averaged, each in one view of an image or in several. All are
    judged by the metrics of the first."""

    members: Sequence[Member]
    views: Views = "none"

    @property
    def is_one(self) -> bool:
        return len(self.members) == 1 and self.views == "none"

    def judged(self, images: Labelled) -> Judged:
        """All ranks call this."""
        return self._together(self._each(images, self.views))

    def judged_with_each(self, images: Labelled) -> tuple[Judged, dict[str, Judged]]:
        """Beside it each member by itself, in one view, by its name. All ranks call this."""
        alone = self._each(images, "none")
        whole = self._together(alone if self.views == "none" else self._each(images, self.views))
        return whole, {member.name: each for member, each in zip(self.members, alone, strict=True)}

    def _each(self, images: Labelled, views: Views) -> list[Judged]:
        objective = self.members[0].objective
        return [member.judged(images, views, objective) for member in self.members]

    def _together(self, each: Sequence[Judged]) -> Judged:
        return each[0] if len(each) == 1 else together(self.members[0], each)


def together(first: Member, members: Sequence[Judged]) -> Judged:
    """The mean of the probabilities that members give for the same images. All ranks call this."""
    given = [each.predictions for each in members if each.predictions is not None]
    if not given:
        return Judged(metrics_of(first.objective, None, first.found.device), None)
    logits = mean_logits(torch.stack([torch.tensor(each.logits) for each in given]))
    losses = first.objective.each_loss(logits, torch.tensor(given[0].labels))
    whole = replace(given[0], logits=logits.numpy(), losses=losses.numpy())
    return Judged(metrics_of(first.objective, whole, first.found.device), whole)


def metrics_of(objective: Objective, predictions: Predictions | None, device: torch.device) -> dict[str, float]:
    """Those of the answers that rank 0 has. All ranks call this."""
    totals = objective.judged(device)
    if predictions is not None:
        logits, labels = (torch.tensor(each, device=device) for each in (predictions.logits, predictions.labels))
        loss, judged = objective.plain_loss(logits, labels)
        totals.add(loss, judged, labels)
    return dict(totals.metrics())


def kept(run: Path) -> list[Path]:
    """The checkpoints that a run's folder keeps, each once, the newest first."""
    folders = [run, *generations.older(run)]
    paths = [each / name for each in folders for name in generations.PAIR if (each / name).exists()]
    found: dict[int, Path] = {}
    for path in paths:
        found.setdefault(path.stat().st_ino, path)
    return list(found.values())


def average(members: Sequence[Member]) -> Member:
    """A network whose weights are the mean of its members' (a soup: Wortsman et al. 2022, arXiv:2203.05482); of what
    is counted in whole numbers the first one's."""
    states = [member.found.network.state_dict() for member in members]

    def mean(name: str, value: Tensor) -> Tensor:
        if not value.is_floating_point():
            return value
        return torch.stack([state[name].double() for state in states]).mean(0).to(value.dtype)

    network = copy.deepcopy(members[0].found.network)
    network.load_state_dict({name: mean(name, value) for name, value in states[0].items()})
    return replace(members[0], found=replace(members[0].found, network=network))


def require_averageable(members: Sequence[Member]) -> None:
    """Raises InputError where networks are not of one architecture, see images otherwise, or have no weights."""
    first = members[0]
    for each in members:
        if next(each.found.network.parameters(), None) is None:
            raise InputError(f"{each.name} is an exported network, which has no weights to average: give run folders")
        one, other = (flat({"model": asdict(m.found.config.model), "data": asdict(m.seen)}) for m in (first, each))
        differ = [key for key in one.keys() | other.keys() if one.get(key) != other.get(key)]
        differ = sorted(key for key in differ if not is_within(key, BEGINNING))
        if "model.name" in differ:
            differ = ["model.name"]
        if differ:
            raise InputError(
                f"{each.name} differs from {first.name} in {', '.join(differ)}: weights are averaged of networks that "
                "are alike; ensemble=true averages the answers of any"
            )


def soup(members: Sequence[Member], val: Labelled, best: int | None, greedily: bool) -> tuple[Member, list[Member]]:
    """The average of the members that are best on val, and those in it, the best first.

    Args:
        best: so many; None: all.
        greedily: each is added only where the average is better on val with it.

    Raises:
        InputError: their weights cannot be averaged.
    """
    require_averageable(members)
    values = {member.name: _of_val(member.judged(val)) for member in members}
    is_better = members[0].found.config.is_better
    ranked: list[Member] = []
    for member in members:
        place = next((i for i, each in enumerate(ranked) if is_better(values[member.name], values[each.name])), None)
        ranked.insert(len(ranked) if place is None else place, member)
    chosen, reached = ranked[:1], values[ranked[0].name]
    for member in ranked[1:best]:
        if greedily:
            tried = _of_val(average([*chosen, member]).judged(val))
            if not is_better(tried, reached):
                continue
            reached = tried
        chosen.append(member)
    return average(chosen), chosen


def _of_val(judged: Judged) -> Mapping[str, float]:
    return {f"val/{name}": value for name, value in judged.metrics.items()}
