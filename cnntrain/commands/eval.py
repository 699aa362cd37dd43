"""``cnntrain eval``: a checkpoint's metrics over one part of a data set, by the function that training used."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cnntrain.build.run import load_data, prepared
from cnntrain.config.check import check
from cnntrain.config.schema import EvalConfig, TrainConfig
from cnntrain.core import dist, files
from cnntrain.core.errors import ConfigError, InputError
from cnntrain.data.batches.loader import Loader
from cnntrain.data.batches.plan import Share, eval_plan
from cnntrain.data.batches.preprocess import Preprocess
from cnntrain.data.batches.samples import Samples
from cnntrain.data.sets.dataset import DataSet, Part
from cnntrain.models import auxiliary
from cnntrain.models.create import create
from cnntrain.runs import checkpoint
from cnntrain.runs.closing import evaluation
from cnntrain.runs.screen import Screen
from cnntrain.runs.versions import versions
from cnntrain.train import loop
from cnntrain.train.loaders import input_dtype
from cnntrain.train.precision import autocast


def run(config: EvalConfig, overrides: Sequence[str]) -> int:
    """Evaluate as `config` says and write ``eval-<data>-<part>.json`` beside the checkpoint."""
    path = Path(config.checkpoint) if config.checkpoint else Path(str(config.run)) / checkpoint.BEST
    state = checkpoint.load(path)
    trained = _trained_config(state, config)
    device = dist.pick_device(config.device)
    data = load_data(trained.data)
    own = preprocess = Preprocess(**state["preprocess"])
    if trained.data.channels != preprocess.channels:
        raise ConfigError(
            f"data.channels={trained.data.channels}, but this model takes {preprocess.channels}: "
            f"data.channels={preprocess.channels} converts the images"
        )
    if trained.data.image_size is not None:
        preprocess = replace(preprocess, image_size=trained.data.image_size)
    part = _relabelled(data, config.part, state["classes"])
    shape = len(state["classes"]), own.channels, own.image_size
    model = create(trained.model, *shape, pretrained=False, small_stem=state["small_stem"])
    model = prepared(trained, model, own)
    model.load_state_dict(checkpoint.eval_weights(state))
    auxiliary.remove(model)
    dtype = input_dtype(trained)
    model.to(device, dtype)
    samples = Samples(part, trained.augment.eval_transform(preprocess.image_size), None)
    loader = Loader(samples, trained.data.num_workers, preprocess, device, dtype)
    share = Share(dist.rank(), dist.world_size(), 1)
    batches = loader.batches(eval_plan(len(part), trained.data.batch_size, share))
    metrics = loop.evaluate(model, batches, autocast(trained.trainer.precision, device))
    best = state["progress"]["best"]
    if best is None and len(metrics.per_setting) > 1:
        raise InputError(f"{path} is from before the first validation, which chooses among its settings")
    result = {
        "checkpoint": str(path),
        "epoch": state["progress"]["epoch"],
        "model": trained.model.name,
        "data": {"name": trained.data.name, "part": config.part, "fingerprint": data.fingerprint},
        **metrics.chosen_by(best),
        "versions": versions(),
        "command": shlex.join(["cnntrain", "eval", *overrides]),
    }
    if dist.rank() == 0:
        _write(path.parent / f"eval-{trained.data.name}-{config.part}.json", result)
    return 0


def _trained_config(state: dict[str, Any], config: EvalConfig) -> TrainConfig:
    """The run's configuration, with the data that this evaluation asks for."""
    tree = state["config"]
    wanted = config.data or {}
    data = wanted if "name" in wanted else {**tree["data"], **wanted}
    trainer = {**tree["trainer"], "device": config.device, "grad_accum": 1}
    size = max(data.get("batch_size", 1) // config.devices, 1) * config.devices
    return check(
        {**tree, "data": {**data, "batch_size": size}, "trainer": trainer, "devices": config.devices}, TrainConfig
    )


def _relabelled(data: DataSet, name: str, classes: list[str]) -> Part:
    """A part with labels that are positions in the checkpoint's classes, matched by name.

    Raises:
        InputError: the set has no such part, or images of a class that the checkpoint does not know.
    """
    part: Part | None = getattr(data, name)
    if part is None:
        raise InputError(f"this data set has no {name} part; choose part=val or part=train")
    present = {data.classes[label] for label in np.unique(part.labels)}
    unknown = sorted(present - set(classes))
    if unknown:
        raise InputError(
            f"the {name} part has classes that the checkpoint was not trained on: {', '.join(unknown)}; "
            f"it knows {', '.join(classes)}"
        )
    positions = np.array([classes.index(each) if each in classes else -1 for each in data.classes])
    return replace(part, labels=positions[part.labels])


def _write(path: Path, result: dict[str, Any]) -> None:
    files.write_atomic(path, json.dumps(result, indent=2).encode())
    Screen(None).say(evaluation(result))
    print(path.parent, flush=True)
