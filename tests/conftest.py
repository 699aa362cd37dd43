"""Small runs on made-up images, composed as the command line composes them."""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import pkgutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, Listener
from pathlib import Path
from typing import Any

import pytest
import torch
from composing import composed, composed_once
from ports import free_port
from xdist.scheduler import LoadScopeScheduling

import cnntrain as package
from cnntrain import cli
from cnntrain.build.run import build
from cnntrain.commands.train import Train
from cnntrain.config.check import check
from cnntrain.config.search_path import looking_in
from cnntrain.data.batches.feed import Batch
from cnntrain.runs import checkpoint
from cnntrain.runs.report import METRICS, Report
from cnntrain.runs.sinks import JsonLines
from cnntrain.tasks.base import Metrics
from cnntrain.training import loop
from cnntrain.training.run import Run
from cnntrain.training.saver import Saver

SMALL = (
    "data=fake", "data.train_size=48", "data.val_size=16", "data.test_size=16", "data.batch_size=16",
    "data.num_classes=7", "model=lenet5", "trainer.device=cpu", "trainer.epochs=3", "optim.lr=0.02",
    "report.html=false",
)  # fmt: skip
PROCESS_SECONDS = 180
DEAR = (
    "test_export.py", "test_diagnose.py", "test_folds.py", "test_multilabel_run.py", "test_predict.py",
    "test_channels.py", "test_exporting.py",
)  # fmt: skip

gc.set_threshold(20_000, 50, 50)  # as often as usual it takes a tenth of the time
torch.set_num_threads(1)  # before the fixtures of modules, too: their runs are compared with those of tests
_always = ExitStack()
_always.enter_context(looking_in(None))  # tests compose configurations while they are collected, too
_always.enter_context(composed_once())
atexit.register(_always.close)


REPEATS = pytest.StashKey[bool]()  # whether a test has other parameters only


def pytest_sessionstart(session: pytest.Session) -> None:
    """Where coverage counts, import everything once while it does: the lines of a module run at its import, maybe in a
    test without it, and in a worker of pytest-xdist before it."""
    if session.config.pluginmanager.hasplugin("_cov") and not hasattr(session.config, "workerinput"):
        for each in pkgutil.walk_packages(package.__path__, "cnntrain."):
            if not each.name.endswith("__main__"):
                importlib.import_module(each.name)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Coverage is of the first set of a test's parameters alone, unless it is asked which test runs a line."""
    seen = set()
    for item in items:
        name = item.nodeid.partition("[")[0]
        item.stash[REPEATS] = name in seen and not config.getoption("cov_context", None)
        seen.add(name)


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()  # what is there now stays to the end


@contextmanager
def counted(config: pytest.Config, on: bool) -> Iterator[None]:
    """Within the block coverage counts lines, or does not: to trace them doubles the time of all that runs, pytest's
    own work between the tests included."""
    controller = getattr(config.pluginmanager.getplugin("_cov"), "cov_controller", None)
    if controller is None:
        yield
        return
    before = controller.started

    def switch(on: bool) -> None:
        if controller.started != on:
            (controller.resume if on else controller.pause)()

    switch(on)
    try:
        yield
    finally:
        switch(before)


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Iterator[None]:
    with counted(session.config, False):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    with counted(item.config, False):
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    with counted(item.config, not item.stash[REPEATS]):
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    with counted(item.config, not item.stash[REPEATS] and item.get_closest_marker("no_cover") is None):
        return (yield)


class OneWorkerForShared(LoadScopeScheduling):
    """A test at a time for each worker of pytest-xdist, but all tests of several processes for one, all of a net that
    test_fidelity.py builds once for them, and all of a file whose run is dear."""

    def _split_scope(self, nodeid: str) -> str:
        if "_processes_" in nodeid:
            return "ranks"
        file = nodeid.partition("::")[0]
        if file.endswith(DEAR):
            return file
        return nodeid.partition("[")[2] if "test_fidelity.py" in nodeid else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """The marks of --dist loadgroup have no effect in xdist 3.8 with pytest 9."""
    return OneWorkerForShared(config, log)


@dataclass
class Trial:
    """A run with what a command gives it; what it does not have itself is the run's, or the state's."""

    run: Run
    report: Report
    saver: Saver

    def with_room(self, ram: int = 2**40, disk: int = 2**40) -> Trial:
        """As if the machine had so many bytes free."""
        around = self.run.around
        room: dict[str, Any] = {"free_memory": lambda shared: ram, "free_disk": lambda folder: disk}
        self.run.around = lambda say, heed: replace(around(say, heed), **room)
        return self

    def __getattr__(self, name: str) -> Any:
        run = self.__dict__["run"]
        return getattr(run if hasattr(run, name) else run.state, name)

    def fit(self) -> str:
        return loop.fit(self.run, self.report, self.saver)

    def begin_epoch(self) -> Any:
        return self.run.begin_epoch(self.report, self.saver)

    def train_epoch(self) -> Metrics:
        return loop.train_epoch(self.run, self.begin_epoch(), self.report, self.saver)

    def train_batches(self) -> Iterator[Batch]:
        """Those of the phase under way, which `begin_epoch` began."""
        return self.run.train_batches(self.run.phase)

    def train_step(self, batch: Batch) -> bool:
        """A loss and the step that it makes, as in the loop."""
        return self.run.step(self.run.objective.loss(self.run.phase.network(batch.inputs), batch.targets)[0])

    def eval_batches(self, part: str) -> Iterator[Batch]:
        return self.run.loaders.eval_batches(part)

    def end_epoch(self, train: dict[str, float], val: dict[str, float]) -> None:
        self.run.end_epoch(Metrics(train), Metrics(val), self.report, self.saver)

    def judged_in_phase(self) -> Metrics:
        """Of val, by the network and on the batches of the phase under way."""
        run, phase = self.run, self.run.phase
        batches = phase.val.batches(run.loaders.eval_plan("val"))
        return loop.evaluate(phase.eval_network, batches, run.objective, run.precision, run.heed)

    def judged(self, part: str, network: torch.nn.Module | None = None) -> Metrics:
        """Of the whole network that is evaluated, or of another, on a part's images."""
        run = self.run
        network = network or run.state.eval_model
        return loop.evaluate(network, run.loaders.eval_batches(part), run.objective, run.precision, run.heed)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """So that sums are added in one order, whatever the last test chose."""
    yield
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """What a user's machine keeps is neither found nor added to."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(autouse=True)
def no_flush(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flushing to a busy disk takes seconds, and no test cuts the power."""
    monkeypatch.setattr(os, "fsync", lambda file: None)


@pytest.fixture(autouse=True)
def untraced(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Coverage is not of new processes, which take twice the time with it, but of those of tests marked `traced`."""
    if request.node.get_closest_marker("traced") is None:
        monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)


@pytest.fixture
def look_in() -> Iterator[Callable[[Path | None], None]]:
    """Until the test ends, look for YAML where ``--config-dir`` would, in ./configs, and in our own folder."""
    with ExitStack() as stack:
        yield lambda folder: stack.enter_context(looking_in(str(folder) if folder is not None else None))


@pytest.fixture
def configure(tmp_path: Path) -> Callable[..., Train]:
    """A checked configuration: the small run, with overrides as they are typed laid over it."""

    return lambda *overrides: check({**composed([*SMALL, *overrides]), "output": str(tmp_path)}, Train)


class Listening(Report):
    """Keeps what it is told to show."""

    def __init__(self, said: list[str], *what: Any):
        super().__init__(*what)
        self.said = said

    def say(self, what: Any) -> None:
        self.said.append(str(what))


@pytest.fixture
def lines() -> list[str]:
    """What the runs of `make_run` say."""
    return []


@pytest.fixture
def make_run(
    lines: list[str], configure: Callable[..., Train], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Trial]]:
    """A run as `commands.train` makes it, in `folder`, continued from its last checkpoint where there is one."""

    def make(
        *overrides: str,
        folder: Path | None = None,
        saved: dict[str, Any] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> Trial:
        folder = folder or tmp_path_factory.mktemp("run")
        folder.mkdir(exist_ok=True)
        for saver in savers:  # a run that was left is as if killed, once it has written what it was writing
            saver.close()
        settings = configure(*overrides)
        if (folder / checkpoint.LAST).exists():
            saved = checkpoint.load(folder / checkpoint.LAST)
        run = build(settings, saved)
        sinks = [JsonLines(folder / METRICS, run.state.progress.step, run.state.progress.epoch)]
        report = Listening(lines, settings.task.columns, sinks)
        saver = Saver(folder, run.state, settings.checkpoint.time_share, settings.checkpoint.keep, clock)
        savers.append(saver)
        reports.append(report)
        return Trial(run, report, saver)

    savers: list[Saver] = []
    reports: list[Report] = []
    yield make
    for each in [*savers, *reports]:
        each.close()


@pytest.fixture
def typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command line in this process, in `tmp_path`: ``typed("data=fake", ...)``."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        capsys.readouterr()
        code = cli.main(words)
        return subprocess.CompletedProcess(words, code, *capsys.readouterr())

    return run


@pytest.fixture
def cnntrain(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command line in a process of its own: ``cnntrain("data=fake", ...)``."""

    def start(*words: str, wait: bool = True) -> Any:
        line = [sys.executable, "-W", "error::UserWarning:cnntrain", "-m", "cnntrain", *words]
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


class Ranks:
    """Two processes that torchrun started, which run command lines, one after another; they start at the first."""

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory(dir="/tmp")  # a socket's path has 107 letters at most
        self.torchrun: subprocess.Popen[bytes] | None = None
        self.each: list[Connection] = []

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        """What the first process has printed; the processes end with the first line that fails."""
        if self.torchrun is None:
            self.start()
        port = free_port()
        for rank in self.each:
            rank.send((words, port))
        answers = [rank.recv() for rank in self.each if rank.poll(PROCESS_SECONDS)]
        if [code for code, *_ in answers] != [0] * len(self.each):
            self.end(failed=True)
            pytest.fail(f"{words}: {answers}")
        return subprocess.CompletedProcess(words, *answers[0])

    def start(self) -> None:
        address = f"{self.folder.name}/{time.monotonic_ns()}"
        launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
        line = [sys.executable, *launcher, str(Path(__file__).parent / "ranks.py"), address]
        with Listener(address, "AF_UNIX", backlog=2) as listener:
            self.torchrun = subprocess.Popen(line, cwd=self.folder.name, env=process_environment())
            connections = [listener.accept() for _ in range(2)]
        self.each = [each for _, each in sorted((each.recv(), each) for each in connections)]

    def end(self, failed: bool = False) -> None:
        if self.torchrun is not None:
            if failed:
                self.torchrun.terminate()
            else:
                for rank in self.each:
                    rank.send(None)
            self.torchrun.wait(PROCESS_SECONDS)
            self.torchrun = None


@pytest.fixture(scope="session")
def ranks() -> Iterator[Ranks]:
    """Run a command line on two processes; one worker has the tests "of processes", so that they start only once."""
    started = Ranks()
    yield started
    started.end()
    started.folder.cleanup()


@pytest.fixture
def metrics_of() -> Callable[[Path], list[dict[str, Any]]]:
    """The lines of a folder's metrics.jsonl."""
    return lambda folder: [json.loads(line) for line in (folder / METRICS).read_text().splitlines()]


@pytest.fixture
def result_of() -> Callable[[Path], dict[str, Any]]:
    return lambda folder: json.loads((folder / "result.json").read_text())
