"""``cnntrain eval``: a checkpoint's metrics over one part of a data set, by the function that training used."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cnntrain.config.schema import Command, Ended
from cnntrain.core import plain_json
from cnntrain.core.errors import ConfigError, InputError
from cnntrain.core.files import write_atomic
from cnntrain.core.limits import Count, Place
from cnntrain.core.words import listed, tell

if TYPE_CHECKING:
    from cnntrain.build.trained import Trained
    from cnntrain.data.base import Data
    from cnntrain.data.batches.preprocess import Preprocess
    from cnntrain.data.sets.dataset import Labelled, Part

LATEST = "latest"
# keys of data that change how images are seen
SEEN = ("image_size", "crop", "crop_fraction", "interpolation", "background")


@dataclass(frozen=True)
class Eval(Command):
    """`data` is laid over the data section that the checkpoint was trained with."""

    run: Place | None
    checkpoint: Place | None
    part: Literal["train", "val", "test"]
    devices: Count
    device: Literal["auto", "cpu", "cuda"]
    data: dict[str, Any] | None
    output: Place  # where the latest run is looked for

    def __post_init__(self) -> None:
        if (self.run is None) == (self.checkpoint is None):
            raise ValueError("give either run=<run folder> or checkpoint=<file>")

    @property
    def device_name(self) -> Literal["auto", "cpu", "cuda"]:
        return self.device

    def execute(self, typed: Sequence[str]) -> Ended:
        """Evaluate, and write ``eval-<data>-<part>.json`` beside the checkpoint."""
        from cnntrain.build import trained
        from cnntrain.build.data import eval_loader
        from cnntrain.core import dist, stopping
        from cnntrain.data.batches.plan import Share, eval_plan
        from cnntrain.training.loop import evaluate

        device = dist.pick_device(self.device)
        path = Path(self.checkpoint) if self.checkpoint else trained.best_of(self._run())
        found = trained.read(path, device, self._adjusted)
        config, seen = found.config, self._seen(found, typed)
        images = self._images(found, replace(config.data, background=seen.background))
        part = _relabelled(images, found.classes)
        loader = eval_loader(config, part, seen, device)
        plan = eval_plan(len(part), config.data.batch_size, Share(dist.rank(), dist.world_size(), 1))
        objective = config.task.start(config.trainer.label_smoothing, config.model.aux_weight)
        metrics = evaluate(found.network, loader.batches(plan), objective, found.precision, stopping.heed)
        if dist.rank() == 0:
            for note in [*found.notes, *(f"note: {each}" for each in images.notes)]:
                tell(note)
            try:
                chosen = metrics.chosen_by(found.best)
            except InputError as error:
                raise InputError(f"{path}: {error}") from error
            self._write(found, images, seen, chosen, typed)
        return Ended(made=str(path.parent))

    def _run(self) -> Path:
        from cnntrain.runs import checkpoint, folder

        return folder.latest(Path(self.output), checkpoint.BEST) if self.run == LATEST else Path(str(self.run))

    def _images(self, found: Trained, data: Data) -> Labelled:
        """The part of the run's data, divided as for the run; of other images what they are, whole if they come in no
        parts. A copy of the run's data elsewhere is the run's."""
        from cnntrain.build.data import load_data, load_labelled
        from cnntrain.core import dist

        asked = self.data or {}
        elsewhere = "name" in asked or any(key in asked for key in data.places())
        if not elsewhere or asked.get("split") is not None:
            images = load_data(data).labelled(self.part)
            changed = ["the data's files or their split are not those of the run"]
            return replace(images, notes=images.notes + (changed if images.fingerprint != found.fingerprint else []))
        if dist.from_first(lambda: _fingerprint(data)) == found.fingerprint:
            return load_data(data).labelled(self.part)
        return load_labelled(data, self.part)

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

    def _write(
        self, found: Trained, images: Labelled, seen: Preprocess, metrics: dict[str, float], typed: Sequence[str]
    ) -> None:
        from cnntrain.runs.closing import evaluation
        from cnntrain.runs.screen import Screen
        from cnntrain.runs.versions import versions
        from cnntrain.tasks.base import intervals

        data = found.config.data
        about = {"name": data.name, "part": images.name, **data.places(), "fingerprint": images.fingerprint}
        result = {
            "checkpoint": str(found.path),
            "epoch": found.epoch,
            "model": found.config.model.name,
            "data": about,
            "preprocess": asdict(seen),
            "classes": len(found.classes),
            "majority": found.config.task.majority(images.part.labels),
            **metrics,
            "interval": intervals(found.config.task.columns, metrics),
            "versions": versions(),
            "command": shlex.join(["cnntrain", "eval", *typed]),
        }
        path = _place(found.path.parent / f"eval-{data.name}-{images.name}", result)
        write_atomic(path, plain_json.text(result, indent=2).encode())
        screen = Screen(None)
        screen.say(evaluation(result, found.config.task.columns))
        screen.say(f"written to {path}")


def _fingerprint(data: Data) -> str | None:
    """That of the set that a run would train on; None of what can only be judged."""
    from cnntrain.build.data import read_data

    try:
        return read_data(data).fingerprint
    except InputError:
        return None


def _place(stem: Path, result: Mapping[str, Any]) -> Path:
    """Where a result is written: in place of one of the same evaluation, or where there is none yet."""
    paths = (stem.with_name(f"{stem.name}{f'-{number}' if number > 1 else ''}.json") for number in count(1))
    return next(path for path in paths if not path.exists() or _judged(_read(path)) == _judged(result))


def _read(path: Path) -> dict[str, Any]:
    """A result of an earlier evaluation; nothing of a damaged one, in whose place none is written."""
    try:
        return plain_json.read(path.read_bytes(), dict[str, Any])
    except ValueError:
        return {}


def _judged(result: Mapping[str, Any]) -> list[Any]:
    """What was judged on what, in a result beside its checkpoint."""
    return [Path(str(result.get("checkpoint"))).name, *(result.get(key) for key in ("epoch", "data", "preprocess"))]


def _relabelled(images: Labelled, classes: list[str]) -> Part:
    """The images with labels that are positions in the checkpoint's classes, matched by name.

    Raises:
        InputError: one is of a class that the checkpoint does not know.
    """
    import numpy as np

    present = {images.classes[label] for label in np.unique(images.part.labels)}
    unknown = sorted(present - set(classes))
    if unknown:
        raise InputError(
            f"the {images.name} part has classes that the checkpoint was not trained on: {listed(unknown)}; "
            f"it knows {listed(classes)}"
        )
    positions = np.array([classes.index(each) if each in classes else -1 for each in images.classes])
    return replace(images.part, labels=positions[images.part.labels])
