"""Small runs on made-up images, composed as the command line composes them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from cnntrain.build.run import build
from cnntrain.config import compose
from cnntrain.config.check import check, plain
from cnntrain.config.schema import TrainConfig
from cnntrain.config.search_path import use
from cnntrain.runs import checkpoint
from cnntrain.runs.report import METRICS, Report
from cnntrain.runs.sinks import JsonLines
from cnntrain.train.run import Run

SMALL = (
    "data=fake", "data.train_size=48", "data.val_size=16", "data.test_size=16", "data.batch_size=16",
    "data.num_classes=7", "model=lenet5", "trainer.device=cpu", "trainer.epochs=3", "optim.lr=0.02",
)  # fmt: skip
PROCESS_SECONDS = 180


@pytest.fixture(autouse=True)
def arithmetic() -> Iterator[None]:
    """One thread, so that sums are added in one order; what `build` sets for the process is undone."""
    threads, backends = torch.get_num_threads(), torch.backends.cudnn
    kept = backends.deterministic, backends.benchmark, torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    backends.deterministic, backends.benchmark = kept[:2]
    torch.use_deterministic_algorithms(kept[2])


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """What a user's machine keeps is neither found nor added to."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(autouse=True)
def no_flush(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flushing to a busy disk takes seconds, and no test cuts the power."""
    monkeypatch.setattr(os, "fsync", lambda file: None)


@pytest.fixture
def configure(tmp_path: Path) -> Callable[..., TrainConfig]:
    """A checked configuration: the small run, with overrides as they are typed laid over it."""

    return lambda *overrides: check({**composed(overrides), "output": str(tmp_path)}, TrainConfig)


@cache
def composed(overrides: tuple[str, ...]) -> dict[str, Any]:
    use(None)
    lines = compose.force(compose.parse([*SMALL, *overrides]))
    return plain(compose.compose_config("train", lines))


@pytest.fixture
def make_run(configure: Callable[..., TrainConfig]) -> Iterator[Callable[..., Run]]:
    """A run as `commands.train` makes it, in `folder`, continued from its last checkpoint where there is one."""

    def make(*overrides: str, folder: Path | None = None) -> Run:
        settings = configure(*overrides)
        path = folder / checkpoint.LAST if folder is not None else None
        saved = checkpoint.load(path) if path is not None and path.exists() else None
        run = build(settings, saved)
        if saved is not None:
            run.load_state_dict(saved)
        if folder is not None:
            folder.mkdir(exist_ok=True)
            run.folder = folder
            run.report = Report([JsonLines(folder / METRICS, run.progress.step, run.progress.epoch)])
            reports.append(run.report)
        return run

    reports: list[Report] = []
    yield make
    for report in reports:
        report.close()


@pytest.fixture
def cnntrain(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command line in a process of its own: ``cnntrain("data=fake", ...)``."""

    def start(*words: str, launcher: tuple[str, ...] = ("-m", "cnntrain"), wait: bool = True) -> Any:
        line = [sys.executable, "-W", "error::UserWarning:cnntrain", *launcher, *words]
        process = subprocess.Popen(
            line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=process_environment()
        )
        if not wait:
            return process
        try:
            out, err = process.communicate(timeout=PROCESS_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        return subprocess.CompletedProcess(line, process.returncode, out, err)

    return start


def process_environment() -> dict[str, str]:
    drop = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "TORCHELASTIC_RUN_ID")
    return {**{k: v for k, v in os.environ.items() if k not in drop}, "OMP_NUM_THREADS": "1"}


@pytest.fixture
def metrics_of() -> Callable[[Path], list[dict[str, Any]]]:
    """The lines of a folder's metrics.jsonl."""
    return lambda folder: [json.loads(line) for line in (folder / METRICS).read_text().splitlines()]


@pytest.fixture
def result_of() -> Callable[[Path], dict[str, Any]]:
    return lambda folder: json.loads((folder / "result.json").read_text())
