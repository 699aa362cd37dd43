"""From a configuration to everything that a run consists of, in one order: data, model, policy, optimizer, state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, replace
from functools import partial
from math import ceil
from typing import Any

import torch
from timm.utils import ModelEmaV3
from torch import nn

from cnntrain.build import objectives
from cnntrain.build.data import begin, decision, load_data, make_loaders, where_it_was
from cnntrain.build.model import build_model, prepared
from cnntrain.config import imports
from cnntrain.config.schema import TrainConfig
from cnntrain.core import dist, seeds
from cnntrain.core.errors import ConfigError
from cnntrain.data.base import Data
from cnntrain.data.batches.preprocess import Preprocess
from cnntrain.data.sets.dataset import DataSet
from cnntrain.data.sets.subset import val_limited
from cnntrain.optim.groups import load_by_name, parameter_groups
from cnntrain.study.anatomy.layers import multiply_adds
from cnntrain.study.checking.classes import class_findings
from cnntrain.tasks.weights import class_weights, weight_notes
from cnntrain.training.loaders import Loaders
from cnntrain.training.lookahead import Lookahead
from cnntrain.training.precision import autocast, place
from cnntrain.training.progress import Progress
from cnntrain.training.rehearsal import Plan
from cnntrain.training.run import Run
from cnntrain.training.state import State
from cnntrain.training.step import Step
from cnntrain.training.tuning import Choice, choose, chosen_before
from cnntrain.training.usage import Usage
from cnntrain.transfer.freezing import Freezing
from cnntrain.transfer.frozen.around import Around


def build(config: TrainConfig, saved: dict[str, Any] | None = None, usage: Usage | None = None) -> Run:
    """Everything that training needs, ready for its next step.

    Args:
        saved: the checkpoint of a run to resume.
        usage: of the command; None: from here on.

    Raises:
        UserError: the data, the weights or the configuration do not fit together.
    """
    device = dist.pick_device(config.trainer.device)
    usage = usage or Usage(device)
    source = config.data if saved is None else where_it_was(config.data, saved)
    data = val_limited(_with_warnings(load_data(source)), config.trainer.val_limit)
    seeds.seed_step(config.seed, "init")
    model, seen, notes = build_model(config, data, saved)
    if saved is None:
        begin(config, data, model, seen)
    macs = multiply_adds(model, seen.shape)
    model = prepared(config, model, seen)
    place(model, config.trainer, device)
    _save_memory(config, model)
    if config.trainer.cuda_graphs and (device.type != "cuda" or dist.world_size() > 1):
        raise ConfigError("trainer.cuda_graphs=true is for one process on a GPU: leave it out")
    measured = decision(config, data, model, seen, device) if saved is None else saved["transfer"]
    typed, choice, lines = config, *_chosen(config, saved, _plan(config, data, model, measured, seen, device))
    config = choice.laid_over(typed)
    place(model, config.trainer, device)
    loaders = make_loaders(config, data, model, seen, device)
    state = make_state(config, model, measured, device, _about(typed, choice, source, data, model, loaders))
    if saved is not None:
        state.load_state_dict(saved)
    trainer, precision = config.trainer, autocast(config.trainer.precision, device)
    weights = class_weights(trainer.class_weight, data.train.labels, data.classes)
    lengths = loaders.steps_per_epoch, trainer.epochs, trainer.max_steps
    return Run(
        config=config,
        data=data,
        device=device,
        state=state,
        step=Step(state, trainer.grad_accum, *lengths, trainer.clip_norm),
        objective=objectives.start(config, device, weights),
        loaders=loaders,
        precision=precision,
        macs=macs,
        notes=[*notes, *lines, *weight_notes(weights, data.classes)],
        usage=usage,
        around=partial(_around, config, data, loaders, device, precision),
    )


def _with_warnings(data: DataSet) -> DataSet:
    """With a note on what can be told of its classes without a look at any image."""
    found = [f"{each.kind.title}: {each.words} (cnntrain check)" for each in class_findings(data.parts(), data.classes)]
    return replace(data, notes=[*data.notes, *found])


def _plan(
    config: TrainConfig,
    data: DataSet,
    model: nn.Module,
    measured: dict[str, Any],
    seen: Preprocess,
    device: torch.device,
) -> Plan:
    """What an arithmetic is chosen for."""
    batch, trainer = config.data.batch_size, config.trainer
    steps = trainer.epochs * ceil(len(data.train) / batch)
    steps = steps if trainer.max_steps is None else min(steps, trainer.max_steps)
    return Plan(config, model, config.transfer.start(measured), seen, len(data.classes), device, batch, steps)


def _chosen(config: TrainConfig, saved: dict[str, Any] | None, plan: Plan) -> tuple[Choice, list[str]]:
    """As before an interruption, else by a try; lines on it."""
    before = chosen_before(config, saved) if saved is not None else None
    choice, lines = (before, []) if before is not None else choose(plan)
    if choice.threads is not None:
        torch.set_num_threads(choice.threads)
    return choice, lines


def _save_memory(config: TrainConfig, model: nn.Module) -> None:
    if not config.trainer.grad_checkpointing:
        return
    with suppress(AssertionError):  # what timm's raise where they have none
        if (switch := getattr(model, "set_grad_checkpointing", None)) is not None:
            switch(True)
            return
    raise ConfigError(f"trainer.grad_checkpointing=true: {config.model.name} has no such thing")


def make_state(
    config: TrainConfig, model: nn.Module, measured: dict[str, Any], device: torch.device, about: Mapping[str, Any]
) -> State:
    """Everything with state, as it is before the first step.

    Args:
        measured: what the policy decides by.
    """
    policy, trainer = config.transfer.start(measured), config.trainer
    freezing = Freezing(model, policy)
    rates = policy.rate_multipliers(model, freezing.head)
    groups = parameter_groups(model, config.optim, rates, policy.decay_multipliers(model))
    return State(
        model=model,
        ema=ModelEmaV3(model, decay=trainer.ema_decay) if trainer.ema_decay else None,
        optimizer=load_by_name(config.optim.build(groups)),
        scaler=torch.amp.GradScaler(device.type, enabled=trainer.precision == "float16"),
        schedule=config.schedule.start(),
        policy=policy,
        freezing=freezing,
        progress=Progress(hash_start=freezing.digest()),
        about=about,
        lookahead=Lookahead(model, trainer.lookahead) if trainer.lookahead.every is not None else None,
    )


def _about(
    config: TrainConfig, choice: Choice, source: Data, data: DataSet, model: nn.Module, loaders: Loaders
) -> dict[str, Any]:
    """What a checkpoint says of its run, as plain values."""
    return {
        "config": {**asdict(config), "resume": None},
        "chosen": asdict(choice),
        "classes": data.classes,
        "fingerprint": data.fingerprint,
        "places": source.places(),
        "preprocess": asdict(loaders.preprocess),
        "small_stem": getattr(model, "small_stem", False),
        "batch_size": loaders.batch_size,
        "steps_per_epoch": loaders.steps_per_epoch,
        "imports": imports.remembered(config),
    }


def _around(
    config: TrainConfig,
    data: DataSet,
    loaders: Loaders,
    device: torch.device,
    precision: AbstractContextManager[Any],
    say: Callable[[str], None],
    heed: Callable[[], None],
) -> Around:
    seen = loaders.preprocess
    depends_on = {
        "model": {key: getattr(config.model, key) for key in ("name", "args", "stem", "norm", "backbone")}
        | {"scale": asdict(config.model.scale)},
        "preprocess": seen.depends_on,
        "augment": asdict(config.augment),
        "data": [data.fingerprint, data.modified],
        "precision": config.trainer.precision,
        "imports": sorted(each.sha256 for each in imports.present()),  # whatever they do; wherever they lie
    }
    return Around(
        loaders={"train": loaders.train, "val": loaders.val},
        image_shape=seen.shape,
        batch_size=loaders.batch_size,
        device=device,
        precision=precision,
        seed=config.seed,
        depends_on=depends_on,
        model=config.model.name,
        data=config.data.name,
        augment=config.augment.name,
        is_random=config.augment.is_random,
        say=say,
        heed=heed,
    )
