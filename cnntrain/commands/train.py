"""``cnntrain``: train, keep the best, test it once, and leave everything in the run's folder."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from cnntrain.config import imports
from cnntrain.config.schema import Ended, TrainConfig
from cnntrain.config.search_path import notes
from cnntrain.core import files, plain_json, signals
from cnntrain.core.errors import StopError
from cnntrain.core.lock import held
from cnntrain.core.words import tell
from cnntrain.runs import folder

if TYPE_CHECKING:
    from cnntrain.runs.report import Report
    from cnntrain.training.run import Run
    from cnntrain.training.saver import Saver


@dataclass(frozen=True)
class Train(TrainConfig):
    def execute(self, typed: Sequence[str]) -> Ended:
        """Train; with ``resume`` set to a run's folder, continue that run."""
        from cnntrain.build.run import build
        from cnntrain.core import dist
        from cnntrain.runs import checkpoint
        from cnntrain.runs.report import Report
        from cnntrain.training.precision import arithmetic
        from cnntrain.training.saver import Saver

        with ExitStack() as stack:
            place = Path(self.resume) if self.resume else None
            if place is not None:
                stack.enter_context(dist.on_first(held, place))
            saved = checkpoint.load(place / checkpoint.LAST) if place and (place / checkpoint.LAST).exists() else None
            stack.enter_context(arithmetic(self.trainer.deterministic))
            run = build(self, saved)
            if place is None:
                parent = Path(self.output) / (self.name or f"{self.data.name}-{self.model.name}-{self.transfer.name}")
                place = dist.from_first(lambda: folder.create(parent))
                stack.enter_context(dist.on_first(held, place))
            dist.from_first(lambda: self._prepare(place))
            saver = Saver(place, run.state, self.checkpoint.time_share)
            progress = run.state.progress
            report = Report.open(place, self.task.columns, progress.step, progress.epoch)
            stack.callback(report.close)
            stack.enter_context(signals.handled())
            for line in notes():
                report.say(line)
            if saved is not None and saved["fingerprint"] != run.data.fingerprint:
                report.say("note: the data's files or their split have changed: this resume is inexact")
            return _train(run, report, saver, typed)

    def _prepare(self, place: Path) -> None:
        """Make the folder ready: what a killed run left half written goes, an older result too."""
        files.remove_temporary(place)
        (place / folder.RESULT).unlink(missing_ok=True)
        text = yaml.safe_dump({**asdict(self), "resume": None}, sort_keys=False)
        files.write_atomic(place / folder.CONFIG, text.encode())
        if needed := imports.remembered(self):
            files.write_atomic(place / folder.IMPORTS, plain_json.text(needed, indent=2).encode())


def _train(run: Run, report: Report, saver: Saver, typed: Sequence[str]) -> Ended:
    """Fit, test and write the result, however it ends."""
    from cnntrain.core import dist
    from cnntrain.runs.closing import summary
    from cnntrain.training import loop, opening
    from cnntrain.training.outcome import finish, result

    place = saver.folder
    outcome: dict[str, Any] = {"status": "failed", "test": None}
    try:
        opening.show(run, report)
        outcome["status"] = loop.fit(run, report, saver)
        if outcome["status"] == loop.FINISHED:
            outcome |= finish(run, place, report)
    except StopError:  # after the last step, which is saved
        outcome["status"] = loop.STOPPED
    except BaseException as error:
        outcome |= {"status": "failed", "error": f"{type(error).__name__}: {error}"}
        if dist.rank() == 0:
            tell(f"failed; once the cause is mended: cnntrain resume={place}", sys.stderr)
        raise
    finally:
        found = result(run, place, outcome, typed)
        if dist.rank() == 0:
            files.write_atomic(place / folder.RESULT, plain_json.text(found, indent=2).encode())
    if found["status"] == loop.STOPPED:
        report.say(f"stopped after saving; to continue: cnntrain resume={place}")
        return Ended(signals.STOPPED, str(place))
    for each in summary(found, run.config.task.columns):
        report.say(each)
    return Ended(made=str(place))
