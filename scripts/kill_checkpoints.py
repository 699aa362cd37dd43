"""Kill a process before each system call of writing its checkpoints: is one lost, or an acknowledged step?

    python scripts/kill_checkpoints.py [--kills 200]

Needs strace. A process writes a checkpoint after each of a few steps, every second one the best so far, in a thread as
a run does, and changes its weights meanwhile; once the next write begins, it says that the one before is done. strace
ends it with SIGKILL as one of its threads enters one of its system calls on files, each of them, in a random order. The
folder must then hold the last step that was acknowledged, or a later one that had begun, with the weights of that step,
and a best one that loads. Prints which calls were the last and how many kills lost something.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import suppress
from itertools import cycle, islice
from mmap import mmap
from pathlib import Path

import torch

from cnntrain.build.run import build
from cnntrain.commands.train import Train
from cnntrain.config import compose
from cnntrain.config.check import check, plain
from cnntrain.config.search_path import looking_in
from cnntrain.core.errors import InputError
from cnntrain.core.files import remove_temporary
from cnntrain.runs import checkpoint
from cnntrain.training.run import Run
from cnntrain.training.saver import Saver

WORDS = ("experiment=smoke", "trainer.device=cpu", "trainer.ema_decay=0.9")
STEPS = 12
CALLS = "%file,%desc"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    args = parser.parse_args()
    torch.set_num_threads(1)  # a process of several threads cannot be forked
    with looking_in(None):
        tree = plain(compose.compose_config("train", compose.force(compose.parse(WORDS))))
        run = build(check(tree, Train))
    with tempfile.TemporaryDirectory() as output:
        first = Path(output) / "first"
        first.mkdir()
        write_steps(run, first, mmap(-1, 1))  # so that torch has imported what it needs
        _, calls = traced(run, Path(output) / "whole", [])
        lost, places = 0, Counter[str]()
        moments = [(name, nth) for name, count in calls.items() for nth in range(1, count + 1)]
        random.Random(0).shuffle(moments)
        print(f"{len(moments)} system calls on files in {STEPS} checkpoints", flush=True)
        for number, (name, nth) in enumerate(islice(cycle(moments), args.kills)):
            folder = Path(output) / str(number)
            kill = ["-e", f"inject={name}:signal=SIGKILL:when={nth}"]
            acknowledged, _ = traced(run, folder, kill)
            places[name] += 1
            problem = wrong(folder, acknowledged)
            lost += problem is not None
            if problem:
                print(f"{name} {nth}, {acknowledged} steps acknowledged: {problem}", flush=True)
    print(", ".join(f"{place} {count}" for place, count in places.most_common()))
    print(f"{lost} of {args.kills} kills lost something")
    sys.exit(lost > 0)


def traced(run: Run, folder: Path, options: list[str]) -> tuple[int, dict[str, int]]:
    """Steps that a process acknowledged while strace watched it, and how often its threads made each system call on
    files, the most of any thread."""
    folder.mkdir()
    go_out, go_in = os.pipe()
    said = mmap(-1, 1)  # shared, and no system call of those that are counted
    child = os.fork()
    if child == 0:
        os.read(go_out, 1)
        write_steps(run, folder, said)
        os._exit(0)
    os.close(go_out)
    log = folder.with_suffix(".strace")
    line = ["strace", "-f", "-o", str(log), "-p", str(child), "-e", f"trace={CALLS}", *options]
    with subprocess.Popen(line, stderr=subprocess.PIPE, text=True) as strace:
        assert strace.stderr is not None
        while "attached" not in (line_said := strace.stderr.readline()):
            assert line_said, "strace cannot attach"
        with suppress(BrokenPipeError):
            os.write(go_in, b"x")
        strace.stderr.read()
    os.waitpid(child, 0)
    os.close(go_in)
    called = re.findall(r"^(\d+) +(\w+)\(", log.read_text(), re.MULTILINE)
    most: dict[str, int] = {}
    for (_, name), count in Counter(called).items():
        most[name] = max(count, most.get(name, 0))
    return said[0], most


def write_steps(run: Run, folder: Path, said: mmap) -> None:
    saver = Saver(folder, run.state, share=1.0, keep=2)
    for step in range(1, STEPS + 1):
        run.state.progress.step = step
        with torch.no_grad():
            for parameter in run.state.model.parameters():
                parameter.fill_(step)  # weights that say of which step they are
        if step % 2 == 0:
            run.state.progress.best = {"val/top1": float(step)}
            saver.epoch_done(improved=True)
        else:
            saver.begin_write([0.0])
        said[0] = step - 1  # which is written, or this one would not have begun
    saver.close()
    said[0] = STEPS


def wrong(folder: Path, acknowledged: int) -> str | None:
    """What a folder lacks in which a process was killed."""
    remove_temporary(folder)
    for name, least in ((checkpoint.LAST, acknowledged), (checkpoint.BEST, acknowledged // 2 * 2)):
        if not (folder / name).exists():
            if least:
                return f"no {name}"
            continue
        try:
            state = checkpoint.load(folder / name)
        except InputError as error:
            return str(error)
        step = state["progress"]["step"]
        if any((value != step).any() for key, value in state["model"].items() if key.endswith("weight")):
            return f"{name} is of step {step}, its weights are not"
        if not least <= step <= acknowledged + 2:  # which was begun before its predecessor was acknowledged
            return f"{name} is of step {step}"
    return None


if __name__ == "__main__":
    main()
