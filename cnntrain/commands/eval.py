"""``cnntrain eval``: what checkpoints are worth on one part of a data set, by the function that training used."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cnntrain.config.labels import require_answers
from cnntrain.config.pictures import require_images
from cnntrain.config.schema import Command, Ended
from cnntrain.core.errors import ConfigError, InputError
from cnntrain.core.limits import Count, Place
from cnntrain.core.words import listed
from cnntrain.data.base import DIMENSIONS

if TYPE_CHECKING:
    from cnntrain.build.evaluation import Asked
    from cnntrain.build.judging import Member
    from cnntrain.build.trained import Trained
    from cnntrain.data.base import Data
    from cnntrain.data.batches.preprocess import Preprocess
    from cnntrain.data.sets.cues import Cues
    from cnntrain.data.sets.dataset import Labelled

LATEST = "latest"
DIVIDED = "the members' data or their splits differ, so val, from which one may have learned, is not looked at"
# keys of data that change how images are seen
SEEN = ("image_size", "crop", "crop_fraction", "interpolation", "background", "jpeg_draft")


@dataclass(frozen=True)
class Eval(Command):
    """`data` is laid over the data section that the checkpoint was trained with."""

    run: list[Place] | None
    checkpoint: Place | None
    predictions: Place | None  # a file of answers that were given before
    part: Literal["train", "val", "test"]
    ensemble: bool  # several runs answer as one
    average: Literal["uniform", "greedy"] | None  # of the weights of several runs, or of the checkpoints that one keeps
    best: Count | None  # so many of these, by val; None: all
    tta: Literal["none", "flip", "shifts", "crops"]  # views of each image whose answers are averaged
    shift: list[Place]  # roots of other sets of the same kind
    corruptions: list[Literal["noise", "blur", "contrast", "jpeg", "rotation", "patches"]]
    cues: Place | None  # a folder of images whose shape is of one class and whose texture is of another
    unknown: Literal["stop", "skip"]  # images of classes that the network does not know
    pictures: bool
    devices: Count
    device: Literal["auto", "cpu", "cuda"]
    data: dict[str, Any] | None
    output: Place  # where the latest run is looked for

    def __post_init__(self) -> None:
        if sum(each is not None for each in (self.run, self.checkpoint, self.predictions)) != 1:
            raise ValueError("give one of run=<run folder>, checkpoint=<file> and predictions=<file>")
        if self.ensemble and self.average is not None:
            raise ValueError("ensemble=true is the mean of answers, average= of weights: leave one of them out")
        combines = self.ensemble or self.average is not None
        if combines and self.run is None:
            raise ValueError("ensemble=true and average= are of runs: give run=[a,b], or a folder of runs")
        if len(self.run or ()) > 1 and not combines:
            raise ValueError(
                "run=[a,b] goes with ensemble=true, several runs that answer as one, or average=, of their weights"
            )
        if self.best == 1:
            raise ValueError("best=1 is one run alone: run=<that run> needs no best")
        if self.best is not None and not combines:
            raise ValueError("best= says how many runs of several are taken: add ensemble=true, or average=")
        if self.predictions is not None and (
            self.shift or self.corruptions or self.cues or self.tta != "none" or self.data
        ):
            raise ValueError("predictions=<file> holds answers that were given: no images are looked at for them")

    @property
    def device_name(self) -> Literal["auto", "cpu", "cuda"]:
        return self.device

    def execute(self, typed: Sequence[str]) -> Ended:
        """Evaluate, and leave a folder ``eval-<data>-<part>`` beside the checkpoint."""
        from cnntrain.build import evaluation
        from cnntrain.core import dist
        from cnntrain.runs import looks, predictions

        command = shlex.join(["cnntrain", "eval", *typed])
        if self.predictions is not None:
            path = Path(self.predictions)
            return Ended(made=str(evaluation.again(predictions.read(path), path.parent, command)))
        asked = self._asked(typed)
        made = evaluation.evaluate(asked, command)
        if self.part == "test" and dist.rank() == 0:
            for run in {each.found.path.parent: each.found.path for each in asked.members}.values():
                looks.count(run, command, asked.images.fingerprint)
        return Ended(made=str(made))

    def _asked(self, typed: Sequence[str]) -> Asked:
        from cnntrain.build import reading
        from cnntrain.build.evaluation import Asked
        from cnntrain.core import dist
        from cnntrain.export import bundle

        device = dist.pick_device(self.device)
        found = [bundle.read_any(path, device, self._adjusted) for path in self._checkpoints()]
        reading.require_same_classes(found)
        bundle.require_cpu(found, self.device)
        asked = self.ensemble, self.average, self.tta, bool(self.corruptions), self.cues
        require_answers(found[0].config.task, *asked)
        members = [self._member(each, typed) for each in found]
        first = members[0]
        background = first.seen.background
        combined = len(members) > 1 or self.average is not None or self.tta != "none"
        images = self._known(self._images(first.found, replace(first.found.config.data, background=background)), first)
        one_val = len({each.fingerprint for each in found}) == 1
        val = self._val(first) if combined and one_val else None
        if self.average is not None and val is None:
            raise InputError(
                f"average={self.average} chooses by val, "
                + (
                    "which is not in these data: shift=[<folder>] judges them beside the run's own"
                    if one_val
                    else "and the runs' data or their splits differ: ensemble=true does without"
                )
            )
        if not one_val:
            images = replace(images, notes=[*images.notes, DIVIDED])
        return Asked(
            members=members,
            images=images,
            val=val,
            views=self.tta,
            average=self.average,
            best=self.best if self.average is not None else None,
            shift={root: self._shifted(first, root) for root in self.shift},
            corruptions=self.corruptions,
            cues=None if self.cues is None else self._conflicting(first, self.cues),
            pictures=self.pictures,
        )

    def _member(self, found: Trained, typed: Sequence[str]) -> Member:
        """As it sees the images that are asked for.

        Raises:
            ConfigError: an exported network is to see images otherwise than it was exported to.
        """
        from cnntrain.build.judging import Member
        from cnntrain.export import bundle

        seen = self._seen(found, typed)
        changed = self.tta != "none" or replace(seen, background=found.seen.background) != found.seen
        if changed and isinstance(found, bundle.Bundle):
            raise ConfigError(
                f"{found.path} prepares images by itself, as it was exported: leave out tta, data.image_size, "
                "data.crop, data.crop_fraction, data.interpolation and data.jpeg_draft"
            )
        return Member(found, seen)

    def _checkpoints(self) -> list[Path]:
        from cnntrain.runs import checkpoint, folder
        from cnntrain.search import members

        if self.checkpoint is not None:
            return [Path(self.checkpoint)]
        latest = partial(folder.latest, Path(self.output), checkpoint.BEST)
        places = [latest() if each == LATEST else Path(each) for each in self.run or ()]
        return members.checkpoints(places, self.ensemble, self.average is not None, self.best)

    def _images(self, found: Trained, data: Data) -> Labelled:
        """The part of the run's data, divided as for the run; of other images what they are, whole if they come in no
        parts. A copy of the run's data elsewhere is the run's."""
        from cnntrain.build.data import load_data, load_labelled
        from cnntrain.core import dist

        asked = self.data or {}
        if not self._is_elsewhere(data) or asked.get("split") is not None:
            images = load_data(data).labelled(self.part)
            changed = ["the data's files or their split are not those of the run"]
            return replace(images, notes=images.notes + (changed if images.fingerprint != found.fingerprint else []))
        if dist.from_first(lambda: _fingerprint(data)) == found.fingerprint:
            return load_data(data).labelled(self.part)
        return load_labelled(data, self.part)

    def _is_elsewhere(self, data: Data) -> bool:
        """Whether other images than the run's are asked for."""
        asked = self.data or {}
        return "name" in asked or any(key in asked for key in data.places())

    def _val(self, member: Member) -> Labelled | None:
        """The images by which the run was judged, where they are at hand."""
        from cnntrain.build.data import load_data
        from cnntrain.core import dist

        data = member.found.config.data
        if self._is_elsewhere(data) and dist.from_first(lambda: _fingerprint(data)) != member.found.fingerprint:
            return None
        return self._known(load_data(data).labelled("val"), member)

    def _shifted(self, member: Member, root: str) -> tuple[Labelled, dict[str, int]]:
        """The images of another set of the same kind, without those of classes that the network does not know."""
        from cnntrain.build.data import load_labelled
        from cnntrain.data.sets.subset import known

        data = replace(member.found.config.data, root=root, background=member.seen.background)
        return known(load_labelled(data, self.part), member.found.classes)

    def _conflicting(self, member: Member, root: str) -> Cues:
        """The images whose cues conflict, without those of classes that the network does not know."""
        from cnntrain.build.data import load_cues

        data = replace(member.found.config.data, background=member.seen.background)
        return load_cues(data, root, member.found.classes)

    def _known(self, images: Labelled, member: Member) -> Labelled:
        """With labels that are positions in the network's classes, matched by name.

        Raises:
            InputError: one is of a class that it does not know, and those are not left out.
        """
        from cnntrain.data.sets.subset import known
        from cnntrain.runs.closing import left_out

        classes = member.found.classes
        found, unknown = known(images, classes)
        if not unknown:
            return found
        if self.unknown == "stop" or not len(found.part):
            raise InputError(
                f"the {images.name} part has classes that the checkpoint was not trained on: "
                f"{listed(sorted(unknown))}; it knows {listed(classes)}"
                + ("" if not len(found.part) else "; unknown=skip leaves their images out")
            )
        return replace(found, notes=[*found.notes, left_out(unknown)])

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
        if config.dimensions != own.dimensions:
            raise ConfigError(
                f"data={config.name} has {DIMENSIONS[config.dimensions]}, and this model takes "
                f"{DIMENSIONS[own.dimensions]}"
            )
        if self.tta != "none":
            require_images(config, f"tta={self.tta}", "leave it out")
        if config.depth != own.depth:
            raise ConfigError(f"data.depth={config.depth}, but this model takes {own.depth}: data.depth={own.depth}")
        if self.corruptions and not config.has_pictures:
            raise ConfigError("corruptions are of 8-bit grey or RGB images: leave them out")
        words = {each.partition("=")[0].lstrip("+") for each in typed}
        whole = "name" in (self.data or {})  # another set, with a value for every key
        asked = {key for key in SEEN if (f"data.{key}" in words if whole else key in (self.data or {}))}
        if config.clip_length is not None and ("data.frames" in words or "frames" in (self.data or {})):
            own = own.with_frames(config.clip_length)
        return own.changed({key: getattr(config, key) for key in asked if getattr(config, key) is not None})


def _fingerprint(data: Data) -> str | None:
    """That of the set that a run would train on; None of what can only be judged."""
    from cnntrain.build.data import read_data

    try:
        return read_data(data).fingerprint
    except InputError:
        return None
