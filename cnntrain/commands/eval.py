"""``cnntrain eval``: a checkpoint's metrics over one part of a data set, by the function that training used."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cnntrain.config.schema import Command, Ended
from cnntrain.core import plain_json
from cnntrain.core.errors import ConfigError, InputError
from cnntrain.core.files import write_atomic
from cnntrain.core.limits import Count
from cnntrain.core.words import listed, tell

if TYPE_CHECKING:
    from cnntrain.build.trained import Trained
    from cnntrain.data.batches.preprocess import Preprocess
    from cnntrain.data.sets.dataset import DataSet, Part

# keys of data that change how images are seen
SEEN = ("image_size", "crop", "crop_fraction", "interpolation", "background")


@dataclass(frozen=True)
class Eval(Command):
    """`data` is laid over the data section that the checkpoint was trained with."""

    run: str | None
    checkpoint: str | None
    part: Literal["train", "val", "test"]
    devices: Count
    device: Literal["auto", "cpu", "cuda"]
    data: dict[str, Any] | None

    def __post_init__(self) -> None:
        if (self.run is None) == (self.checkpoint is None):
            raise ValueError("give either run=<run folder> or checkpoint=<file>")

    @property
    def device_name(self) -> Literal["auto", "cpu", "cuda"]:
        return self.device

    def execute(self, typed: Sequence[str]) -> Ended:
        """Evaluate, and write ``eval-<data>-<part>.json`` beside the checkpoint."""
        from cnntrain.build import trained
        from cnntrain.build.data import eval_loader, load_data
        from cnntrain.core import dist, stopping
        from cnntrain.data.batches.plan import Share, eval_plan
        from cnntrain.training.loop import evaluate

        device = dist.pick_device(self.device)
        path = Path(self.checkpoint) if self.checkpoint else trained.best_of(Path(str(self.run)))
        found = trained.read(path, device, self._adjusted)
        config, seen = found.config, self._seen(found, typed)
        data = load_data(replace(config.data, background=seen.background))
        part = _relabelled(data, self.part, found.classes)
        loader = eval_loader(config, part, seen, device)
        plan = eval_plan(len(part), config.data.batch_size, Share(dist.rank(), dist.world_size(), 1))
        objective = config.task.start(config.trainer.label_smoothing, config.model.aux_weight)
        metrics = evaluate(found.network, loader.batches(plan), objective, found.precision, stopping.heed)
        if dist.rank() == 0:
            for note in found.notes:
                tell(note)
            try:
                chosen = metrics.chosen_by(found.best)
            except InputError as error:
                raise InputError(f"{path}: {error}") from error
            self._write(found, data, chosen, typed)
        return Ended(made=str(path.parent))

    def _adjusted(self, tree: Mapping[str, Any]) -> Mapping[str, Any]:
        """The run's configuration, with the data that this evaluation asks for."""
        wanted = self.data or {}
        data = wanted if "name" in wanted else {**tree["data"], **wanted}
        trainer = {**tree["trainer"], "device": self.device, "grad_accum": 1}
        size = data.get("batch_size", 1)
        if isinstance(size, int):
            size = max(size // self.devices, 1) * self.devices
        return {**tree, "data": {**data, "batch_size": size}, "trainer": trainer, "devices": self.devices}

    def _seen(self, found: Trained, typed: Sequence[str]) -> Preprocess:
        """As the network was trained to see images, but for what is typed here; what another set has is not asked for.

        Raises:
            ConfigError: images of another depth are asked for.
        """
        config, own = found.config.data, found.seen
        if config.channels != own.channels:
            raise ConfigError(
                f"data.channels={config.channels}, but this model takes {own.channels}: "
                f"data.channels={own.channels} converts the images"
            )
        words = {each.partition("=")[0].lstrip("+") for each in typed}
        whole = "name" in (self.data or {})  # another set, with a value for every key
        asked = {key for key in SEEN if (f"data.{key}" in words if whole else key in (self.data or {}))}
        return replace(own, **{key: getattr(config, key) for key in asked if getattr(config, key) is not None})

    def _write(self, found: Trained, data: DataSet, metrics: dict[str, float], typed: Sequence[str]) -> None:
        from cnntrain.runs.closing import evaluation
        from cnntrain.runs.screen import Screen
        from cnntrain.runs.versions import versions

        name = found.config.data.name
        result = {
            "checkpoint": str(found.path),
            "epoch": found.epoch,
            "model": found.config.model.name,
            "data": {"name": name, "part": self.part, "fingerprint": data.fingerprint},
            **metrics,
            "versions": versions(),
            "command": shlex.join(["cnntrain", "eval", *typed]),
        }
        write_atomic(found.path.parent / f"eval-{name}-{self.part}.json", plain_json.text(result, indent=2).encode())
        Screen(None).say(evaluation(result, found.config.task.columns))


def _relabelled(data: DataSet, name: str, classes: list[str]) -> Part:
    """A part with labels that are positions in the checkpoint's classes, matched by name.

    Raises:
        InputError: the set has no such part, or images of a class that the checkpoint does not know.
    """
    import numpy as np

    part: Part | None = getattr(data, name)
    if part is None:
        raise InputError(f"this data set has no {name} part; choose part=val or part=train")
    present = {data.classes[label] for label in np.unique(part.labels)}
    unknown = sorted(present - set(classes))
    if unknown:
        raise InputError(
            f"the {name} part has classes that the checkpoint was not trained on: {listed(unknown)}; "
            f"it knows {listed(classes)}"
        )
    positions = np.array([classes.index(each) if each in classes else -1 for each in data.classes])
    return replace(part, labels=positions[part.labels])
