"""From a run, or a configuration, to what a diagnosis looks at: short trials, errors by part, the learning curve."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from math import ceil, isfinite
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cnntrain.build import trained
from cnntrain.build.data import eval_loader
from cnntrain.build.judging import Member
from cnntrain.build.run import build, make_state
from cnntrain.build.trained import Trained
from cnntrain.build.trial import fitted
from cnntrain.config import imports
from cnntrain.config.check import check
from cnntrain.config.pictures import require_images
from cnntrain.config.schema import TrainConfig
from cnntrain.core import seeds
from cnntrain.core.errors import ConfigError
from cnntrain.core.targets import INSTEAD
from cnntrain.data.batches.plan import Plan
from cnntrain.data.sets.dataset import Labelled, Part
from cnntrain.data.sets.subset import SomeImages
from cnntrain.runs import folder
from cnntrain.runs.predictions import PREDICTIONS, read
from cnntrain.schedule.constant import Constant
from cnntrain.study.diagnosis.learning_curve import Point
from cnntrain.study.diagnosis.subject import BATCH, Fitted, Sample, Subject
from cnntrain.training.run import Run
from cnntrain.training.step import Step

# of a training what a diagnosis does without: it is one process that takes few steps
PLAIN: dict[str, Any] = {
    "compile": "off", "tune": "off", "cuda_graphs": False, "grad_accum": 1, "micro_batch": None, "profile": False,
    "watch": False, "log_every": 0,
}  # fmt: skip

Adjust = Callable[[Mapping[str, Any]], Mapping[str, Any]]


@dataclass(frozen=True)
class Case:
    """Attributes:
    run: built anew, before its first step.
    found: the best epoch's network, where there is one.
    """

    run: Run
    found: Trained | None


def plain(tree: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration's tree for one process, and without what is for long runs."""
    return {**tree, "devices": 1, "resume": None, "trainer": {**tree["trainer"], **PLAIN}}


def of_folder(place: Path, device: torch.device, adjust: Adjust) -> Case:
    """The run in a folder, with its best checkpoint where it has got so far.

    Raises:
        ConfigError: it is no run's folder, or needs code of the user's own that is not imported.
    """
    path = trained.best_of(place)
    tree = folder.config(place)
    if path.is_file():
        found = trained.read(path, device, lambda saved: adjust(plain(saved)))
        return Case(_built(found.config), found)
    imports.check(folder.imports(place), str(place))
    return Case(_built(check(adjust(plain(tree)), TrainConfig)), None)


def of_config(config: TrainConfig) -> Case:
    return Case(_built(replace(config, trainer=replace(config.trainer, **PLAIN))), None)


def _built(config: TrainConfig) -> Run:
    """Raises ConfigError for what the checks do not know how to look at."""
    if config.transfer.side_by_side:
        raise ConfigError(f"transfer={config.transfer.name} trains networks side by side; diagnose looks at one")
    require_images(config.data, "cnntrain diagnose")
    run = build(replace(config, trainer=replace(config.trainer, ema_decay=None)))
    if run.data.train.labels.ndim != 1 or config.task.target in INSTEAD:
        raise ConfigError(f"task={config.task.name}: diagnose is for images with one label each")
    return run


def subject(case: Case, steps: int, images: int, errors: Mapping[str, tuple[float, int]]) -> Subject:
    """What the checks look at.

    Args:
        steps: of each trial.
        images: of each part, at most.
        errors: see `errors_of`.
    """
    run = case.run
    initial = deepcopy(run.state.model)
    return Subject(
        config=run.config,
        classes=len(run.data.classes),
        count=len(run.data.train),
        steps_per_epoch=run.loaders.steps_per_epoch,
        total_steps=run.step.left,
        initial=initial,
        trained=None if case.found is None else case.found.network,
        train=_sample(run, run.data.train, images),
        val=_sample(run, run.data.val, images),
        fit=partial(_fit, run, initial),
        loss=partial(_loss, run),
        steps=steps,
        errors=dict(errors),
    )


def _sample(run: Run, part: Part, most: int) -> Sample:
    """So many of a part's images, drawn alike each time."""
    rows = torch.randperm(len(part), generator=seeds.generator("diagnosis", "sample"))[:most]
    config = replace(run.config, data=replace(run.config.data, num_workers=0))
    starts = torch.arange(0, len(rows), BATCH)
    plan = Plan(0, rows, starts, (starts + BATCH).clamp(max=len(rows)))
    batches = list(eval_loader(config, part, run.loaders.preprocess, run.device).batches(plan))
    return Sample(torch.cat([each.inputs for each in batches]), torch.cat([each.targets for each in batches]))


def _loss(run: Run, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    with run.precision:
        return run.objective.loss(network(images), labels)[0]


def _fit(run: Run, initial: nn.Module, batches: Sequence[Sample], lr: float, enough: float = 0.0) -> Fitted:
    """See `Fit`; what is frozen is as the run's policy has it in its first epoch."""
    network = deepcopy(initial)
    config = replace(run.config, optim=replace(run.config.optim, lr=lr), schedule=Constant("constant", 0.0))
    state = make_state(config, network, run.state.policy.state_dict(), run.device, run.state.about)
    step = Step(state, 1, len(batches), 1, None, config.trainer.clip_norm)
    state.freezing.train_mode()
    losses: list[float] = []
    for number, batch in enumerate(batches):
        seeds.seed_step(config.seed, "diagnosis", number)
        loss = _loss(run, network, batch.images, batch.labels)
        losses.append(loss.item())
        if not isfinite(losses[-1]) or losses[-1] <= enough:
            break
        step(loss)
    return Fitted(network, losses)


def errors_of(case: Case, most: int) -> dict[str, tuple[float, int]]:
    """Of the trained network, by part the share of wrong answers and over how many images; nothing where there is none.

    The training part's are in evaluation mode, without augmentation. Of val and test the answers that the run left
    count; where it left none, val is judged, and test is not looked at.

    Args:
        most: training images that are judged, drawn alike each time.
    """
    found = case.found
    if found is None:
        return {}
    member = Member(found, found.seen)

    def judged(images: Labelled) -> tuple[float, int]:
        metrics = member.judged(images).metrics
        return 1 - metrics["top1"], int(metrics["count"])

    errors = {"train": judged(_some(case.run.data.labelled("train"), most))}
    for part in ("val", "test"):
        left = _left(found, part)
        if left is not None:
            errors[part] = left
        elif part == "val":
            errors[part] = judged(case.run.data.labelled(part))
    return errors


def _left(found: Trained, part: str) -> tuple[float, int] | None:
    """The error of the answers that a run left of its best epoch; None where there are none of this epoch."""
    path = found.path.parent / part / PREDICTIONS
    if not path.is_file():
        return None
    answers = read(path)
    if answers.about.get("epoch") != (found.best or {}).get("epoch"):
        return None
    return float((answers.logits.argmax(1) != answers.labels).mean()), len(answers)


def _some(images: Labelled, most: int) -> Labelled:
    part = images.part
    if len(part) <= most:
        return images
    rows = np.sort(torch.randperm(len(part), generator=seeds.generator("diagnosis", "train"))[:most].numpy())
    some = Part(SomeImages(part.images, rows), part.labels[rows], [part.ids[row] for row in rows])
    return replace(images, part=some)


def curve(config: TrainConfig, fractions: Sequence[float], epochs: int) -> Iterator[Point]:
    """The run's own configuration trained on fractions of its training images, the best epoch's error on val.

    Each takes as many optimizer steps as `epochs` of all images do; of each class the same share is taken as far as the
    classes are equally large (``data.train_per_class``). Nothing of the runs is kept.

    Raises:
        RunError: a loss was no number.
    """
    whole = len(labels := _built(config).data.train.labels)
    largest = int(np.bincount(labels).max())
    for fraction in sorted(fractions):
        data = config.data if fraction == 1 else replace(config.data, train_per_class=max(1, round(fraction * largest)))
        run = _built(replace(config, data=data))
        longer = ceil(epochs * whole / len(run.data.train))
        trainer = replace(run.config.trainer, epochs=longer, max_steps=None, early_stopping=None)
        run = fitted(_built(replace(run.config, trainer=trainer)))
        best = run.state.progress.best
        assert best is not None, "an epoch was done"
        yield Point(len(run.data.train), 1 - best["val/top1"], len(run.data.val))
