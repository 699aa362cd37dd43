"""Change the code of the core, one small thing at a time: does a test notice?

    python scripts/mutation.py [--sample 300] [--seed 0] [--path cnntrain/schedule] [--record FILE]

A mutant has one operator, comparison, condition, number or returned value changed, or a call left out, in one function
of training/, transfer/, data/batches/, schedule/ or runs/checkpoint.py. It is killed where a test fails, or takes far
longer than it did. First every test is run once to learn which lines it runs, which takes minutes; then each mutant is
tried in a process of its own by tests that run its line: up to sixty, those of its own file and folder first. Messages,
assertions, and what is at the level of a module or class are left alone; mutants that cannot be noticed without a GPU
(``mutants.py`` says which) are left out and counted. Prints the survivors, and the score with its 95% interval
(Wilson).
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import inspect
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from math import sqrt
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from coverage import CoverageData
from mutants import Mutant, changed

CORE = ("cnntrain/training", "cnntrain/transfer", "cnntrain/data/batches", "cnntrain/schedule",
        "cnntrain/runs/checkpoint.py")  # fmt: skip
TESTS = ("tests/training", "tests/transfer", "tests/data", "tests/schedule", "tests/runs", "tests/build",
         "tests/augment", "tests/models/test_auxiliary.py", "tests/commands/test_train.py",
         "tests/commands/test_eval.py", "tests/commands/test_bench.py", "tests/test_cli.py")  # fmt: skip
# by the tests: seconds, which no forked process waits for
NEEDED = ("torchvision", "timm", "hydra", "hypothesis", "sklearn.linear_model", "sklearn.model_selection",
          "cnntrain.cli", "cnntrain.build.run", "cnntrain.commands.train")  # fmt: skip
MOST_TESTS, SECONDS, CONTROLS = 60, 90.0, 5
Calls = dict[str, Any]  # how long each test took, and which tests run each line


def codes(code: CodeType) -> Iterator[CodeType]:
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield each
            yield from codes(each)


def functions(module: ModuleType) -> Iterator[FunctionType]:
    """Those of the module and of its classes, whatever wraps them."""
    waiting: list[Any] = list(vars(module).values())
    seen: set[int] = set()
    while waiting:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        if inspect.isclass(each) and each.__module__ == module.__name__:
            waiting += vars(each).values()
        for name in ("fget", "__func__", "__wrapped__", "func"):
            with contextlib.suppress(AttributeError):
                waiting.append(getattr(each, name))
        if isinstance(each, FunctionType) and each.__code__.co_filename == module.__file__:
            yield each


def apply(mutant: Mutant) -> bool:
    """Give the function of this process the changed code; whether it was found."""
    module = importlib.import_module(mutant.path.removesuffix(".py").replace("/", "."))
    code, _ = changed(mutant.path, mutant.number)
    new = {each.co_qualname: each for each in codes(code)}
    found = [each for each in functions(module) if each.__code__.co_qualname == mutant.function]
    for each in found:
        each.__code__ = new[mutant.function]
    return bool(found)


class Recorder:
    """A plug-in of pytest's: how long each test takes."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.seconds[report.nodeid] += report.duration


def record(path: Path, jobs: int) -> None:
    """Run the tests once, and write which lines each of them runs."""
    import pytest

    recorder = Recorder()
    data = path.with_suffix(".coverage")
    os.environ["COVERAGE_FILE"] = str(data)
    words = ["-q", "-n", str(jobs), "-p", "no:cacheprovider", "--cov=cnntrain", "--cov-context=test", "--cov-report="]
    pytest.main([*words, *TESTS], plugins=[recorder])
    found = CoverageData(str(data))
    found.read()
    lines: dict[str, dict[int, list[str]]] = {}
    for file in found.measured_files():
        name = os.path.relpath(file)
        if name.startswith(CORE):
            lines[name] = {
                line: sorted({each.partition("|")[0] for each in contexts if each})
                for line, contexts in found.contexts_by_lineno(file).items()
            }
    path.write_text(json.dumps({"seconds": recorder.seconds, "lines": lines}), encoding="utf-8")


def chosen(mutant: Mutant, calls: Calls) -> tuple[list[str], float]:
    """The tests that run its line, the quickest first, and how long they took; of many those of its own file and folder
    and the quickest of the others."""
    path = Path(mutant.path)
    folder = Path("tests", *path.parts[1:-1])
    own = f"{folder / f'test_{path.name}'}::"

    def distance(test: str) -> tuple[bool, bool, float]:
        return not test.startswith(own), not test.startswith(f"{folder}/"), seconds_of(test)

    def seconds_of(test: str) -> float:
        return calls["seconds"].get(test, 0.0)

    tests = calls["lines"].get(mutant.path, {}).get(str(mutant.line), [])
    covering = sorted(sorted(tests, key=distance)[:MOST_TESTS], key=seconds_of)
    return covering, sum(map(seconds_of, covering))


def begun(mutant: Mutant | None, tests: list[str]) -> int:
    """A process forked from this one in which the tests meet the changed function; its exit code tells."""
    child = os.fork()
    if child:
        return child
    os.setpgid(0, 0)
    with open(os.devnull, "w") as nothing:
        os.dup2(nothing.fileno(), 1)
        os.dup2(nothing.fileno(), 2)
    import pytest
    import torch

    torch.set_num_threads(1)
    code = 77
    if mutant is None or apply(mutant):
        early = "ignore::pytest.PytestAssertRewriteWarning"  # what is imported before pytest begins
        code = int(pytest.main(["-x", "-q", "-n", "0", "-p", "no:cacheprovider", "-W", early, *tests]))
    os._exit(code)


def control(mutants: list[Mutant], calls: Calls) -> None:
    """Raises SystemExit where tests fail in such a process without any change: then nothing would survive."""
    for mutant in mutants:
        tests, _ = chosen(mutant, calls)
        if tests and os.waitpid(begun(None, tests), 0)[1]:
            raise SystemExit(f"without a change the tests of {mutant} fail: python -m pytest {' '.join(tests)}")


def outcomes(
    wanted: list[Mutant], calls: dict[str, tuple[float, list[str]]], jobs: int
) -> Iterator[tuple[Mutant, str]]:
    """How each mutant ended: killed, timeout, survived, uncovered."""
    waiting, running = list(reversed(wanted)), dict[int, tuple[Mutant, float]]()
    while waiting or running:
        while waiting and len(running) < jobs:
            mutant = waiting.pop()
            tests, seconds = chosen(mutant, calls)
            if not tests:
                yield mutant, "uncovered"
                continue
            running[begun(mutant, tests)] = mutant, time.monotonic() + SECONDS + 5 * seconds
        for child, (mutant, deadline) in list(running.items()):
            ended, status = os.waitpid(child, os.WNOHANG)
            if not ended and time.monotonic() < deadline:
                continue
            with contextlib.suppress(ProcessLookupError):  # and what its tests have started
                os.killpg(child, signal.SIGKILL)
            if not ended:
                os.waitpid(child, 0)
            del running[child]
            yield mutant, {0: "survived", 5: "uncovered", 77: "uncovered"}.get(
                os.waitstatus_to_exitcode(status), "killed") if ended else "timeout"  # fmt: skip
        time.sleep(0.05)


def interval(killed: int, count: int) -> tuple[float, float]:
    """Wilson's, of 95%."""
    z, share = 1.959964, killed / count
    middle, half = share + z * z / (2 * count), z * sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return (middle - half) / (1 + z * z / count), (middle + half) / (1 + z * z / count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, help="so many of all mutants, at random")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--path", default="", help="only files whose path begins so")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--record", type=Path, help="where to keep what the tests call, or to read it if it is there")
    parser.add_argument("--recording", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    sys.path[:0] = [str(Path.cwd()), str(Path.cwd() / "tests"), str(Path.cwd() / "tests" / "support")]
    if asked.recording:
        record(asked.record, asked.jobs)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = asked.record or Path(folder) / "calls.json"
        if not path.exists():  # in a process of its own: what has computed cannot be forked
            subprocess.run(
                [sys.executable, __file__, "--recording", "--record", str(path), "--jobs", str(asked.jobs)], check=True
            )
        calls = json.loads(path.read_text(encoding="utf-8"))
    files = sorted(
        str(each) for root in CORE for each in ([Path(root)] if root.endswith(".py") else Path(root).rglob("*.py"))
    )
    mutants = [each for file in files if file.startswith(asked.path) for each in changed(file)[1]]
    without_gpu = [each for each in mutants if not each.needs_gpu]
    left_out, mutants, count = len(mutants) - len(without_gpu), without_gpu, len(without_gpu)
    if asked.sample is not None:
        mutants = random.Random(asked.seed).sample(mutants, min(asked.sample, count))
    core = [file.removesuffix(".py").replace("/", ".").removesuffix(".__init__") for file in files]
    for name in (*NEEDED, *core):
        importlib.import_module(name)
    control(mutants[:CONTROLS], calls)
    ended = Counter[str]()
    rooms: dict[str, Counter[str]] = defaultdict(Counter)
    for mutant, how in outcomes(mutants, calls, asked.jobs):
        ended[how] += 1
        rooms[next(root for root in CORE if mutant.path.startswith(root))][how] += 1
        if how in ("survived", "uncovered"):
            print(f"{how}: {mutant}", flush=True)
    print(f"left out: {left_out} that need a GPU")
    killed = ended["killed"] + ended["timeout"]
    for room, counts in sorted(rooms.items()):
        print(f"{room}: {counts['killed'] + counts['timeout']} of {counts.total()}")
    low, high = interval(killed, ended.total())
    print(f"{killed} of {ended.total()} killed, {ended['timeout']} of them by time: {killed / ended.total():.1%} "
          f"[{low:.1%}, {high:.1%}]; of {count} mutants in all")  # fmt: skip


if __name__ == "__main__":
    main()
