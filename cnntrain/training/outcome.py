"""What a run ends with: the proof that frozen stood still, what the policy concludes, one test, and a result."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from cnntrain.config.schema import TrainConfig
from cnntrain.core import dist, stopping
from cnntrain.core.digest import digest
from cnntrain.core.errors import StopError
from cnntrain.core.words import some_of
from cnntrain.data.batches.feed import Batch
from cnntrain.data.batches.plan import WHOLE, eval_plan
from cnntrain.models import auxiliary
from cnntrain.runs import checkpoint
from cnntrain.runs.counts import Given, leave
from cnntrain.runs.predictions import Predictions
from cnntrain.runs.report import Report
from cnntrain.runs.versions import versions
from cnntrain.training.answers import Answers
from cnntrain.training.loop import evaluate
from cnntrain.training.progress import Progress
from cnntrain.training.run import Run
from cnntrain.transfer.base import Finished

T = TypeVar("T")


def finish(run: Run, folder: Path, report: Report) -> tuple[dict[str, Any], Given | None]:
    """What is found after the last step, and the answers to test, or to val where there is no test, which rank 0 gets.

    Raises:
        StopError: a signal came.
    """
    state = run.state
    outcome: dict[str, Any] = {
        "hash_end": state.prove_frozen(),
        "weights_sha256": digest(state.model.state_dict()),
        "conclusion": state.policy.conclude(_finished(run, folder, report)),
    }
    best = checkpoint.load_run(folder / checkpoint.BEST)
    state.eval_model.load_state_dict(checkpoint.eval_weights(best))
    _, answers = _judged(run, folder, "val")
    if isinstance(answers, Predictions):
        outcome["temperature"] = run.config.task.temperature(answers.logits, answers.labels)
    if run.loaders.test is not None:
        run.loaders.hold(["test"], 1, report.say, run.heed)
        chosen, answers = _judged(run, folder, "test", outcome.get("temperature"))
        columns = run.config.task.columns
        outcome |= {"test": chosen, "test_interval": run.config.task.intervals(chosen, answers)}
        values = {f"test/{each.name}": chosen[each.name] for each in columns}
        report.log(state.progress.step, values)
        report.hparams(_hparams(run.config), values)
    return outcome, answers


def _judged(
    run: Run, folder: Path, name: str, temperature: float | None = None
) -> tuple[dict[str, float], Given | None]:
    """The metrics of a part, by the network as it is evaluated, whose answers are left in the run's folder; rank 0 gets
    them, too.

    Args:
        temperature: found on other images.
    """
    best, part = run.state.progress.best, run.data.parts()[name]
    setting = (best or {}).get("val/setting")
    answers = Answers(run.objective, None if setting is None else int(setting))
    batches = run.loaders.eval_batches(name)
    found = evaluate(run.state.eval_model, batches, run.objective, run.precision, run.heed, answers)
    about = {
        "model": run.config.model.name,
        "task": run.config.task.name,
        "part": name,
        "epoch": best["epoch"] if best else 0,
        "checkpoint": str(folder / checkpoint.BEST),
        "data": {"name": run.config.data.name, **run.state.about["places"]},
        "fingerprint": run.data.fingerprint,
        "temperature": temperature,
    }
    predictions = answers.of(part, run.data.classes, about)
    if predictions is not None:
        leave(folder / name, predictions)
    return found.chosen_by(best), predictions


def _finished(run: Run, folder: Path, report: Report) -> Finished:
    """The run as its transfer policy sees it in the end."""
    loaders, optim, model = run.loaders, run.config.optim, run.state.eval_model

    def batches(part: str) -> Iterator[Batch]:
        loader = loaders.part(part)
        return loader.batches(eval_plan(len(loader.samples), loaders.batch_size, WHOLE))

    def judge(part: str) -> Sequence[Mapping[str, float]]:
        return evaluate(model, run.loaders.eval_batches(part), run.objective, run.precision, run.heed).per_setting

    return Finished(
        model=model,
        parts=("val", "test") if loaders.test is not None else ("val",),
        judge=judge,
        batches=batches,
        once=_once,
        heed=stopping.heed_alone,
        say=report.say,
        folder=folder,
        val=" ".join([some_of(len(run.data.val), run.data.val_of), "val"]).strip(),
        majority={part: value for part, value in _majority(run).items() if value is not None},
        lr=optim.lr,
        weight_decay=optim.weight_decay,
    )


def _once(make: Callable[[], T]) -> T:
    """What `make` returns on rank 0, on all ranks; a stop there is a stop everywhere."""

    def attempt() -> tuple[bool, Any]:
        try:
            return False, make()
        except StopError:
            return True, None

    stopped, value = dist.from_first(attempt)
    if stopped:
        raise StopError
    return value


def _hparams(config: TrainConfig) -> dict[str, Any]:
    """The choices that runs are usually compared by."""
    names = {
        group: getattr(config, group).name for group in ("model", "data", "augment", "optim", "schedule", "transfer")
    }
    numbers = {"lr": config.optim.lr, "weight_decay": config.optim.weight_decay, "batch_size": config.data.batch_size}
    return {**names, **numbers, "seed": config.seed}


def result(run: Run, folder: Path, outcome: Mapping[str, Any], commands: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What ``result.json`` holds; its keys are a contract with scripts.

    Args:
        outcome: ``status``, what `finish` found, and an ``error`` if there was one.
        commands: the one that started the run, and those that resumed it.
    """
    state, progress, best = run.state, run.state.progress, run.state.progress.best
    columns, model = run.config.task.columns, run.state.model
    kept, frozen = progress.kept or {"cut": [], "kept": {}}, run.state.freezing.frozen_parameters()
    metrics = [f"val/{each.name}" for each in columns]
    return {
        "status": outcome["status"],
        **({"error": outcome["error"]} if "error" in outcome else {}),
        "run_dir": str(folder),
        **{"epochs": progress.epoch, "steps": progress.step},
        "metric": run.config.checkpoint.metric,
        "best": {"epoch": best["epoch"], **{name: best[name] for name in metrics}} if best else None,
        "val": {"count": len(run.data.val), "of": run.data.val_of},
        "test": outcome["test"],
        **{key: outcome.get(key) for key in ("test_interval", "temperature")},
        **outcome.get("conclusion", {}),
        "train": _speed(progress),
        "model": {
            "name": run.config.model.name,
            "params": sum(p.numel() for p in auxiliary.main_parameters(model)),
            "trainable_params": sum(p.numel() for p in auxiliary.main_parameters(model) if p.requires_grad),
            "auxiliary_params": sum(p.numel() for p in auxiliary.parameters(model)),
            "macs": run.macs,
        },
        "data": _data(run),
        "transfer": {"name": run.config.transfer.name, **state.policy.decision()},
        "frozen": {
            "params": sum(each.numel() for each in frozen.values()),
            "buffers": sum(each.numel() for each in state.freezing.frozen_buffers().values()),
            "cut": kept["cut"],
            "kept": kept["kept"],
            "hash_start": progress.hash_start,
            "hash_end": outcome.get("hash_end"),
        },
        "task": {"name": run.config.task.name, "columns": [asdict(each) for each in columns]},
        "weights_sha256": outcome.get("weights_sha256"),
        "this_command": {"seconds": run.usage.seconds, "seconds_to_first_step": run.usage.first_step},
        "arithmetic": state.about["chosen"],
        "peak_memory_bytes": run.usage.peak_memory(),
        "peak_memory_of": run.usage.peak_memory_of(run.loaders.workers),
        "versions": versions(),
        "command": commands[0]["command"],
        "resumes": list(commands[1:]),
    }


def _data(run: Run) -> dict[str, Any]:
    """What it was trained and judged on, and what each part's most frequent answer would be worth."""
    return {
        "name": run.config.data.name,
        **run.state.about["places"],
        "fingerprint": run.data.fingerprint,
        "classes": len(run.data.classes),
        "majority": _majority(run),
        **{key: getattr(run.config.data, key) for key in ("group", "folds", "fold", "balance")},
        "skipped": run.data.skipped,
    }


def _majority(run: Run) -> dict[str, float | None]:
    return {part: run.config.task.majority(each.labels) for part, each in run.data.parts().items()}


def _speed(progress: Progress) -> dict[str, float]:
    """Of training steps, over all resumes; `data_wait` is the share of the seconds."""
    seconds = progress.seconds
    return {
        "seconds": seconds,
        "images_per_second": progress.images / seconds if seconds else 0.0,
        "data_wait": progress.data_wait / seconds if seconds else 0.0,
    }
