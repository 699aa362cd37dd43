"""What a run shows before its first step."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from math import ceil
from typing import Any

from rich.table import Table

from cnntrain.core import dist
from cnntrain.core.words import some_of
from cnntrain.data.base import DIMENSIONS
from cnntrain.models import auxiliary
from cnntrain.runs.report import Report
from cnntrain.training.precision import slow
from cnntrain.training.run import Run
from cnntrain.training.state import State

IMAGES_SHOWN = 32


def show(run: Run, report: Report) -> None:
    """What runs on what, stage by stage what is trained, and the first images as the network sees them."""
    for each in opening(run):
        report.say(each)
    progress = run.state.progress
    if progress.step:
        report.say(f"resumed at epoch {progress.epoch}, step {progress.step}")
    elif dist.rank() == 0 and run.loaders.preprocess.dimensions == 2:
        report.images("inputs", run.loaders.preprocess.undo(run.loaders.train.first(IMAGES_SHOWN)))


def opening(run: Run) -> list[Any]:
    """Lines, and a table at their end."""
    config, data, model = run.config, run.data, run.state.model
    sizes = {name: f"{len(part):,}" for name, part in data.parts().items()}
    if limited := some_of(len(data.val), data.val_of):
        sizes["val"] = f"{limited} (trainer.val_limit)"
    parts = ", ".join(f"{name} {shown}" for name, shown in sizes.items())
    seen, kind = run.loaders.preprocess, DIMENSIONS[run.loaders.preprocess.dimensions]
    lines = [
        f"{config.model.name}: {sum(p.numel() for p in auxiliary.main_parameters(model)):,} parameters, "
        f"{run.macs / 1e6:,.1f} M multiply-adds at {'x'.join(map(str, seen.shape))}, "
        f"{'pretrained' if config.model.pretrained else config.model.weights or 'random'} weights"
        f"{', stem for small images' if getattr(model, 'small_stem', False) else ''}",
        *(f"note: {each}" for each in run.notes),
        f"{config.data.name}: {parts} {kind} of {len(data.classes)} classes; fingerprint {data.fingerprint[:12]}",
        *(f"note: {each}" for each in data.notes),
        f"{config.optim.name}, {config.schedule.name}, {config.augment.in_words} augmentation, batch "
        f"{run.loaders.batch_size} on {dist.world_size()} x {run.device} in {config.trainer.precision}",
    ]
    if (line := slow(config.trainer.precision, run.device)) is not None:
        lines.append(f"note: {line}")
    if extra := sum(p.numel() for p in auxiliary.parameters(model)):
        weight = config.model.aux_weight
        lines.append(f"auxiliary heads, in training only: {extra:,} parameters more, loss x {weight:g}")
    position = run.step.position
    epochs = ceil(position.total_steps / position.steps_per_epoch)
    return [*lines, *run.loaders.notes(config.data.batch_size), *run.state.policy.notes(), _stages(run.state, epochs)]


def _stages(state: State, epochs: int) -> Table:
    """Stage by stage: parameters, whether and when they are trained, and at what multiple of ``optim.lr``."""
    policy = state.policy
    multipliers = policy.rate_multipliers(state.model, state.freezing.head)
    shown = any(each != 1 for each in multipliers.values())
    steps = [1.0, *(policy.rate_multiplier(epoch) for epoch in range(epochs))]
    changes = [f"every rate x {b:g} from epoch {n}" for n, (a, b) in enumerate(pairwise(steps), 1) if a != b]
    table = Table(title=f"transfer={policy.name}", title_justify="left", caption="; ".join(changes) or None)
    for name in ("stage", "parameters", "", *(["lr x"] if shown else [])):
        table.add_column(name, justify="right" if name in ("parameters", "lr x") else "left")
    sizes = {name: parameter.numel() for name, parameter in state.model.named_parameters()}
    for group, states in zip(state.freezing.groups, state.freezing.changes(epochs), strict=True):
        rates = [multipliers[name] for name in group.parameters]
        ends = dict.fromkeys(f"{each:.3g}" for each in (min(rates), max(rates)))
        span = "" if states == {0: "frozen"} else "..".join(ends)
        count = sum(sizes[name] for name in group.parameters)
        table.add_row(group.name, f"{count:,}", _when(states, epochs), *([span] if shown else []))
    return table


def _when(states: Mapping[int, str], epochs: int) -> str:
    """What `Freezing.changes` says of a stage, in words; epochs as the screen counts them, from 1."""
    if set(states) == {0, epochs} and states[0] == "frozen":
        return f"frozen, never trained in these {epochs} epochs"
    later = [f"{state} from epoch {epoch + 1}" for epoch, state in states.items() if 0 < epoch < epochs]
    return ", ".join([states[0], *later])
