"""``cnntrain``: train, keep the best, test it once, and leave everything in the run's folder."""

from __future__ import annotations

import json
import resource
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import yaml

from cnntrain.build.run import build
from cnntrain.config.schema import TrainConfig
from cnntrain.core import dist, files, signals
from cnntrain.core.digest import digest
from cnntrain.core.lock import held
from cnntrain.data.batches.loader import Loader
from cnntrain.data.batches.plan import Share, eval_plan
from cnntrain.data.batches.samples import Batch
from cnntrain.models import auxiliary
from cnntrain.runs import checkpoint, closing, folder
from cnntrain.runs.report import Report
from cnntrain.runs.versions import versions
from cnntrain.tasks.classify.metrics import best_setting
from cnntrain.train import loop
from cnntrain.train.opening import opening
from cnntrain.train.run import Run
from cnntrain.transfer.base import Finished

VAL_METRICS = ("val/top1", "val/top5", "val/loss")
IMAGES_SHOWN = 32


def run(config: TrainConfig, overrides: Sequence[str]) -> int:
    """Train as `config` says; with ``config.resume`` set to a run's folder, continue that run."""
    with ExitStack() as stack:
        place = Path(config.resume) if config.resume else None
        if place is not None:
            stack.enter_context(dist.on_first(held, place))
        saved = checkpoint.load(place / checkpoint.LAST) if place and (place / checkpoint.LAST).exists() else None
        training = build(config, saved)
        if saved is not None and place is not None:
            training.load_state_dict(saved)
            training.saver.forget_lost(place)
        if place is None:
            parent = Path(config.output) / (config.name or _name(config))
            place = dist.from_first(lambda: folder.create(parent))
            stack.enter_context(dist.on_first(held, place))
        training.folder = place
        dist.from_first(lambda: _prepare(training))
        training.report = Report.open(place, training.progress.step, training.progress.epoch)
        stack.callback(training.report.close)
        stack.enter_context(signals.handled())
        if saved is not None and saved["fingerprint"] != training.data.fingerprint:
            training.report.say("note: the data's files or their split have changed: this resume is inexact")
        return _train(training, overrides)


def _train(training: Run, overrides: Sequence[str]) -> int:
    """Fit, test and write the result, however it ends."""
    outcome: dict[str, Any] = {"status": "failed", "test": None}
    try:
        _open(training)
        outcome["status"] = loop.fit(training)
        if outcome["status"] == loop.FINISHED:
            outcome |= _finish(training)
    except BaseException as error:
        outcome |= {"status": "failed", "error": f"{type(error).__name__}: {error}"}
        if dist.rank() == 0:
            print(f"failed; once the cause is mended: cnntrain resume={training.folder}", file=sys.stderr, flush=True)
        raise
    finally:
        result = _result(training, outcome, overrides)
        if dist.rank() == 0:
            files.write_atomic(training.folder / folder.RESULT, json.dumps(result, indent=2).encode())
    if result["status"] == loop.STOPPED:
        training.report.say(f"stopped after saving; to continue: cnntrain resume={training.folder}")
        code = signals.STOPPED
    else:
        for each in closing.summary(result):
            training.report.say(each)
        code = 0
    if dist.rank() == 0:
        print(training.folder, flush=True)
    return code


def _name(config: TrainConfig) -> str:
    return f"{config.data.name}-{config.model.name}-{config.transfer.name}"


def _prepare(training: Run) -> None:
    """Make the folder ready: what a killed run left half written goes, an older result too."""
    files.remove_temporary(training.folder)
    (training.folder / folder.RESULT).unlink(missing_ok=True)
    text = yaml.safe_dump({**asdict(training.config), "resume": None}, sort_keys=False)
    files.write_atomic(training.folder / folder.CONFIG, text.encode())


def _open(training: Run) -> None:
    """Show what runs, and the first images as the network sees them."""
    for each in opening(training):
        training.report.say(each)
    if training.progress.step:
        training.report.say(f"resumed at epoch {training.progress.epoch}, step {training.progress.step}")
    elif dist.rank() == 0:
        samples, preprocess = training.loaders.train.samples, training.loaders.preprocess
        images = torch.stack([samples[0, index][0] for index in range(min(IMAGES_SHOWN, len(samples)))])
        seen = preprocess(images, torch.device("cpu"), torch.float32)
        training.report.images("inputs", preprocess.undo(seen))


def _finish(training: Run) -> dict[str, Any]:
    """The proof that frozen stayed frozen, what the policy concludes, and the best checkpoint's one test."""
    outcome: dict[str, Any] = {
        "hash_end": training.prove_frozen(),
        "weights_sha256": digest(training.model.state_dict()),
        "conclusion": training.config.transfer.conclude(_finished(training)),
    }
    if training.loaders.test is not None:
        best = checkpoint.load(training.folder / checkpoint.BEST)
        training.eval_model.load_state_dict(checkpoint.eval_weights(best))
        found = loop.evaluate(training.eval_model, training.eval_batches("test"), training.precision)
        outcome["test"] = found.chosen_by(training.progress.best)
        values = {f"test/{name}": outcome["test"][name] for name in ("loss", "top1", "top5")}
        training.report.log(training.progress.step, values)
        training.report.hparams(_hparams(training.config), values)
    return outcome


def _finished(training: Run) -> Finished:
    """The run as its transfer policy sees it in the end."""
    loaders, optim = training.loaders, training.config.optim

    def batches(part: str) -> Iterator[Batch]:
        loader: Loader = getattr(loaders, part)
        return loader.batches(eval_plan(len(loader.samples), loaders.batch_size, Share(0, 1, 1)))

    def judge(part: str) -> Sequence[Mapping[str, float]]:
        return loop.evaluate(training.eval_model, training.eval_batches(part), training.precision).per_setting

    return Finished(
        model=training.eval_model,
        parts=("val", "test") if loaders.test is not None else ("val",),
        judge=judge,
        best=best_setting,
        batches=batches,
        once=dist.from_first,
        say=training.report.say,
        folder=training.folder,
        lr=optim.lr,
        weight_decay=optim.weight_decay,
    )


def _hparams(config: TrainConfig) -> dict[str, Any]:
    """The choices that runs are usually compared by."""
    names = {
        group: getattr(config, group).name for group in ("model", "data", "augment", "optim", "schedule", "transfer")
    }
    numbers = {"lr": config.optim.lr, "weight_decay": config.optim.weight_decay, "batch_size": config.data.batch_size}
    return {**names, **numbers, "seed": config.seed}


def _result(training: Run, outcome: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """What ``result.json`` holds; its keys are a contract with scripts."""
    progress, best = training.progress, training.progress.best
    frozen = training.freezing.frozen_parameters()
    return {
        "status": outcome["status"],
        **({"error": outcome["error"]} if "error" in outcome else {}),
        "run_dir": str(training.folder),
        "epochs": progress.epoch,
        "steps": progress.step,
        "best": {"epoch": best["epoch"], **{name: best[name] for name in VAL_METRICS}} if best else None,
        "val": {"count": len(training.data.val)},
        "test": outcome["test"],
        **outcome.get("conclusion", {}),
        "train": {
            "seconds": progress.seconds,
            "images_per_second": progress.images / progress.seconds if progress.seconds else 0.0,
            "data_wait": progress.data_wait / progress.seconds if progress.seconds else 0.0,
        },
        "model": {
            "name": training.config.model.name,
            "params": sum(p.numel() for p in auxiliary.main_parameters(training.model)),
            "trainable_params": sum(p.numel() for p in auxiliary.main_parameters(training.model) if p.requires_grad),
            "auxiliary_params": sum(p.numel() for p in auxiliary.parameters(training.model)),
            "macs": training.macs,
        },
        "data": {"name": training.config.data.name, "fingerprint": training.data.fingerprint},
        "transfer": {"name": training.config.transfer.name, **training.config.transfer.decision()},
        "frozen": {
            "params": sum(each.numel() for each in frozen.values()),
            "buffers": sum(each.numel() for each in training.freezing.frozen_buffers().values()),
            "cut": training.division.cut if training.division else [],
            "kept": training.division.kept if training.division else {},
            "hash_start": progress.hash_start,
            "hash_end": outcome.get("hash_end"),
        },
        "weights_sha256": outcome.get("weights_sha256"),
        "peak_memory_bytes": _peak_memory(training.device),
        "versions": versions(),
        "command": shlex.join(["cnntrain", *overrides]),
    }


def _peak_memory(device: torch.device) -> int:
    """Bytes: of the GPU's memory on a GPU, else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
