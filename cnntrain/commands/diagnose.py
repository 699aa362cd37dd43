"""``cnntrain diagnose``: why a network does not learn, or does not learn enough."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cnntrain.config.schema import Ended, TrainConfig
from cnntrain.core import plain_json
from cnntrain.core.errors import ConfigError
from cnntrain.core.limits import Count, Fraction, Place, Proportion
from cnntrain.core.words import tell
from cnntrain.runs import folder

if TYPE_CHECKING:
    from cnntrain.build.diagnosis import Case

LATEST = "latest"
FILE = "diagnose.json"
OWN = {
    "run", "human_error", "steps", "images", "train_images", "curve", "curve_epochs", "fractions", "findings", "format",
    "output",
}  # fmt: skip
PLACES = {"trainer.device", "data.root", "data.num_workers", "data.cache_dir", "data.resident", "data.download"}


@dataclass(frozen=True)
class Diagnose(TrainConfig):
    """Takes the keys of a training; with `run` that run's own stand in their place."""

    run: Place | None
    human_error: Fraction | None
    steps: Count
    images: Count
    train_images: Count
    curve: bool
    curve_epochs: Count
    fractions: list[Proportion]
    findings: Place | None
    format: Literal["table", "json"]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.resume is not None:
            raise ValueError("resume has no meaning for cnntrain diagnose: give run=<run folder>")
        if self.devices > 1:
            raise ValueError(f"devices={self.devices}: cnntrain diagnose is one process, leave it out")
        if self.human_error is not None and self.run is None:
            raise ValueError("human_error is for the table of a run's errors: give run=<run folder>, too")
        if len(set(self.fractions)) < 3:
            raise ValueError(f"fractions={self.fractions}: a curve needs at least three that differ")

    def execute(self, typed: Sequence[str]) -> Ended:
        """Run the checks, and show and write what they found."""
        from cnntrain.core import seeds
        from cnntrain.training.precision import arithmetic

        with ExitStack() as stack:
            stack.enter_context(arithmetic(self.trainer.deterministic, self.trainer.tf32))
            stack.enter_context(seeds.generators_kept())
            place = self._place()
            case = self._case(place, typed)
            result = {**self._found(case), "command": shlex.join(["cnntrain", "diagnose", *typed])}
            left = Path(self.findings) if self.findings is not None else None if place is None else place / "diagnose"
            if left is not None:
                _write(left, result)
            self._show(result)
        return Ended(made=None if left is None or self.format == "json" else str(left))

    def _place(self) -> Path | None:
        from cnntrain.core.paths import expanded

        if self.run == LATEST:
            return folder.latest(expanded(self.output), folder.CONFIG)
        return None if self.run is None else expanded(self.run)

    def _case(self, place: Path | None, typed: Sequence[str]) -> Case:
        """Raises ConfigError where keys are typed beside a run that are the run's."""
        from cnntrain.build import diagnosis
        from cnntrain.core import dist

        if place is None:
            return diagnosis.of_config(self)
        keys = {each.partition("=")[0].lstrip("+~") for each in typed} - OWN
        if others := ", ".join(sorted(keys - PLACES)):
            raise ConfigError(
                f"run={self.run} is diagnosed with its own configuration: leave out {others}, or give it without run= "
                "to diagnose a training before it begins"
            )
        return diagnosis.of_folder(place, dist.pick_device(self.trainer.device), partial(self._laid_over, keys))

    def _laid_over(self, keys: set[str], tree: Mapping[str, Any]) -> Mapping[str, Any]:
        """A run's configuration on this machine, with the places that are typed."""
        mine = asdict(self)
        found = {**tree, "trainer": {**tree["trainer"], "device": self.trainer.device}, "data": dict(tree["data"])}
        for group, _, key in (each.partition(".") for each in keys):
            found[group][key] = mine[group][key]
        return found

    def _found(self, case: Case) -> dict[str, Any]:
        from cnntrain.build import diagnosis
        from cnntrain.study.diagnosis import bias_variance, checks, learning_curve

        config = case.run.config
        errors = diagnosis.errors_of(case, self.train_images)
        subject = diagnosis.subject(case, self.steps, self.images, errors)
        findings = []
        for number, finding in enumerate(checks.findings(subject), 1):
            tell(f"{number}/{len(checks.CHECKS)} {finding.check}: {finding.status}", sys.stderr)
            findings.append(finding.facts())
        points = []
        for point in diagnosis.curve(config, self.fractions, self.curve_epochs) if self.curve else ():
            tell(f"{point.images:,} images: validation error {point.error:.2%}", sys.stderr)
            points.append(point)
        return {
            "model": config.model.name,
            "data": config.data.name,
            "run": None if case.found is None else str(case.found.path.parent),
            "epoch": None if case.found is None else case.found.epoch,
            "checks": findings,
            "bias_variance": bias_variance.table(errors, self.human_error) if errors else None,
            "curve": learning_curve.fit(points) if points else None,
        }

    def _show(self, result: Mapping[str, Any]) -> None:
        from cnntrain.runs.screen import Screen
        from cnntrain.study.diagnosis import words

        if self.format == "json":
            print(plain_json.text(result, indent=2))
            return
        screen = Screen(None)
        for each in words.lines(result):
            screen.say(each)


def _write(place: Path, result: Mapping[str, Any]) -> None:
    """Raises RunError: the disk is full or cannot be written."""
    from cnntrain.core.files import write_atomic
    from cnntrain.study.diagnosis import pictures

    place.mkdir(parents=True, exist_ok=True)
    title = f"{result['model']} on {result['data']}"
    (gradients,) = [each["numbers"] for each in result["checks"] if "before" in each["numbers"]]
    pictures.draw_gradients(place / "gradients.png", gradients, title)
    if result["curve"] is not None:
        pictures.draw_curve(place / "curve.png", result["curve"], title)
    write_atomic(place / FILE, plain_json.text(result, indent=2).encode())
