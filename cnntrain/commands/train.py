"""``cnntrain``: train, keep the best, test it once, and leave everything in the run's folder."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnntrain.config import imports, resume, since
from cnntrain.config.ended import Ended, Prune
from cnntrain.config.schema import TrainConfig
from cnntrain.config.search_path import notes
from cnntrain.core import files, plain_json, signals
from cnntrain.core.errors import LossError, StopError
from cnntrain.core.keys import flat
from cnntrain.core.lock import held
from cnntrain.core.words import tell
from cnntrain.runs import folder, looks

if TYPE_CHECKING:
    from cnntrain.runs.counts import Given
    from cnntrain.runs.report import Report
    from cnntrain.training.run import Run
    from cnntrain.training.saver import Saver

PRUNED = "pruned"  # the status of a run that a search has ended early
PAGE_SECONDS = 1.0  # that reading images for the page at the end may take


@dataclass(frozen=True)
class Train(TrainConfig):
    def execute(self, typed: Sequence[str], prune: Prune | None = None) -> Ended:
        """Train; with ``resume`` set to a run's folder, continue that run. `prune` is told of each epoch, see `Run`."""
        start = time.monotonic()
        from cnntrain.build.run import build
        from cnntrain.core import dist
        from cnntrain.runs.trackers.base import require
        from cnntrain.training.ending import why_ended
        from cnntrain.training.precision import arithmetic
        from cnntrain.training.saver import Saver
        from cnntrain.training.usage import Usage

        require(self.report.trackers)
        with ExitStack() as stack:
            place, saved, lines = Path(self.resume) if self.resume else None, None, list[str]()
            if place is not None:
                stack.enter_context(dist.on_first(held, place))
                saved, lines = _loaded(place)
            stack.enter_context(arithmetic(self.trainer.deterministic, self.trainer.tf32))
            run = build(self, saved, Usage(dist.pick_device(self.trainer.device), start))
            if place is not None and saved is not None and run.ended:
                finished = dist.from_first(partial(folder.is_finished, place))
                why = why_ended(self, run.state.progress, run.step.left)
                before, _ = since.completed(saved["config"])
                resume.refuse_changes(place, dict(before), asdict(self), finished, why)
                if finished:
                    return Ended(made=str(place))
            command = shlex.join(["cnntrain", *typed])
            if place is None:
                parent = Path(self.output) / (self.name or f"{self.data.name}-{self.model.name}-{self.transfer.name}")
                place = dist.from_first(lambda: folder.create(parent, partial(self._fill, command=command)))
                stack.enter_context(dist.on_first(held, place))
            else:
                dist.from_first(lambda: self._prepare(place, saved, command))
            free_room = stack.enter_context(dist.on_first(files.reserved, place))
            commands = dist.from_first(lambda: folder.commands(place))
            progress = run.state.progress
            saver = Saver(place, run.state, self.checkpoint.time_share, self.checkpoint.keep)
            report = stack.enter_context(closing(self._opened(place, progress.step, progress.epoch)))
            run.prune = prune
            if dist.rank() == 0:
                _look_on(run, place, report)
            stack.enter_context(signals.handled())
            if len(commands) > 1:
                report.note(_told(commands[-1]))
            for line in [*notes(), *lines]:
                report.say(line)
            if saved is not None and saved["fingerprint"] != run.data.fingerprint:
                report.say("note: the data's files or their split have changed: this resume is inexact")
            return _train(run, report, saver, commands, free_room)

    def _opened(self, place: Path, step: int, epoch: int) -> Report:
        """The report of the run, which has done so many steps and whole epochs."""
        from cnntrain.runs.report import Report
        from cnntrain.runs.trackers.base import Log

        told = self.report
        log = Log(place, step, epoch, told.project, told.online, flat(asdict(self)))
        return Report.open(log, self.task.columns, told.trackers)

    def _fill(self, place: Path, command: str) -> None:
        """Write what a new run is made of."""
        folder.add_command(place, command)
        folder.describe(place, {**asdict(self), "resume": None}, imports.remembered(self))

    def _prepare(self, place: Path, saved: Mapping[str, Any] | None, command: str) -> None:
        """Make the folder ready to go on: what a killed run left half written goes, an older result too.

        Where there is a checkpoint the configuration stays that of it until the next one is written.
        """
        files.remove_temporary(place)
        (place / folder.RESULT).unlink(missing_ok=True)
        difference = resume.changes(folder.config(place) if saved is None else saved["config"], asdict(self))
        reached = {key: saved["progress"][key] if saved is not None else 0 for key in ("epoch", "step")}
        folder.add_command(place, command, **reached, difference=difference)
        if saved is None:
            folder.describe(place, {**asdict(self), "resume": None}, imports.remembered(self))


def _loaded(place: Path) -> tuple[dict[str, Any] | None, list[str]]:
    """What `generations.load` gives, with the defaults of keys that came since. All ranks call this."""
    from cnntrain.core import dist
    from cnntrain.runs import generations

    with dist.first_rank_first():  # it puts an older checkpoint in the place of a damaged one
        saved, lines = generations.load(place)
    if saved is not None:
        saved["config"] = since.completed(saved["config"])[0]
    return saved, lines


def _look_on(run: Run, place: Path, report: Report) -> None:
    """Let be recorded what is asked for besides the metrics."""
    from cnntrain.training.profiling import Profiler
    from cnntrain.training.watching import Watcher

    state = run.state
    if run.config.task.target == "image":
        from cnntrain.training.sampling import Sampler

        report.sinks.append(Sampler(place, state, report))
    if run.config.trainer.profile:
        run.profiler = Profiler(place, report.say)
    if run.config.trainer.watch:
        run.watcher = Watcher(state.model, state.optimizer, lambda *seen: report.layers(state.progress.step, *seen))


def _told(command: Mapping[str, Any]) -> str:
    """A resume in a line."""
    changed = "".join(f", {key}: {before} -> {after}" for key, (before, after) in command["difference"].items())
    return f"{command['command']}{changed}"


def _train(
    run: Run,
    report: Report,
    saver: Saver,
    commands: Sequence[Mapping[str, Any]],
    free_room: Callable[[], None] | None,
) -> Ended:
    """Fit, test and write the result, however it ends.

    Args:
        free_room: makes room for the result on a disk that has become full; None on other ranks than the first.
    """
    from cnntrain.core import dist
    from cnntrain.training import ending, loop, opening
    from cnntrain.training.memory import shortage_explained
    from cnntrain.training.outcome import finish, result

    place = saver.folder
    outcome: dict[str, Any] = {"status": "failed", "test": None}
    answers: Given | None = None
    try:
        opening.show(run, report)
        with shortage_explained(run):
            fitted = loop.fit(run, report, saver)
            outcome["status"] = PRUNED if run.pruned and fitted == loop.FINISHED else fitted
        if outcome["status"] == loop.FINISHED:
            if run.step.left:
                report.say(ending.why_ended(run.config, run.state.progress, run.step.left))
            last, answers = finish(run, place, report)
            outcome |= last
    except StopError:  # after the last step, which is saved
        outcome["status"] = loop.STOPPED
    except BaseException as error:
        outcome |= {"status": "failed", "error": f"{type(error).__name__}: {error}"}
        if dist.rank() == 0:
            tell(f"failed; once the cause is mended: cnntrain resume={place}", sys.stderr)
            if isinstance(error, LossError):
                tell(f"what the cause may be: cnntrain diagnose run={place}", sys.stderr)
        raise
    finally:
        found = result(run, place, outcome, commands)
        if free_room is not None:
            free_room()
            _leave(place, found, commands[-1]["command"])
    return _closed(run, place, report, found, answers)


def _closed(run: Run, place: Path, report: Report, found: Mapping[str, Any], answers: Given | None) -> Ended:
    """Tell how a run has ended, and leave its page, on which its answers are, where it has finished."""
    from cnntrain.runs.closing import summary
    from cnntrain.training import loop

    if found["status"] == loop.FINISHED and run.config.report.html:
        _draw(run, place, report, answers)
    if found["status"] == loop.STOPPED:
        report.say(f"stopped after saving; to continue: cnntrain resume={place}")
        return Ended(signals.STOPPED, str(place))
    if found["status"] == PRUNED:
        report.say(f"pruned after epoch {found['epochs']}; to train it further: cnntrain resume={place}")
        return Ended(made=str(place))
    for each in summary(found, run.config.task.columns):
        report.say(each)
    return Ended(made=str(place))


def _draw(run: Run, place: Path, report: Report, answers: Given | None) -> None:
    """Leave the page of a finished run, which is finished whatever becomes of that."""
    from cnntrain.build.looking import Looking
    from cnntrain.core import dist
    from cnntrain.study.page import one
    from cnntrain.study.page.thumbnails import Album

    if dist.rank() > 0:
        return
    name = "val" if run.data.test is None else "test"
    part = run.data.parts()[name]
    try:
        shown = replace(part, images=run.loaders.preprocess.drafted(part.images))
        one.write(place, Album(Looking(place, name, part.ids, run.device, shown), PAGE_SECONDS), answers)
    except Exception as error:
        report.say(f"warning: {place / one.PAGE} is not written: {type(error).__name__}: {error}")


def _leave(place: Path, found: Mapping[str, Any], command: str) -> None:
    """Write the result, with how often the test part was looked at."""
    try:
        if found["test"] is not None:
            looks.add(place, command, found["data"]["fingerprint"])
    finally:
        content = plain_json.text({**found, looks.KEY: looks.of(place)}, indent=2)
        files.write_atomic(place / folder.RESULT, content.encode())
