"""A sweep of many jobs of which most have finished: how long until the first of the others starts?

    python scripts/large_sweep.py [--jobs 1000] [--left 10] [--repeats 3]

The finished jobs are copies of one that has run, with seeds of their own and lines in the sweep's ``jobs.jsonl``, as a
sweep leaves them. Counts the time from the start of the command to the first line of a job's own run.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cnntrain.config.search_path import looking_in
from cnntrain.runs import index
from cnntrain.search.jobs import JOBS, key_of, sources

SMALL = (
    "data=fake", "data.train_size=32", "data.val_size=16", "data.test_size=16", "data.batch_size=16", "model=lenet5",
    "trainer.device=cpu", "trainer.epochs=1", "report.html=false", "report.trackers=[]",
)  # fmt: skip
PLACE = Path("outputs/sweeps/large")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--left", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, looking_in(None):
        os.chdir(folder)
        subprocess.run(command(2), check=True, capture_output=True)
        finish(args.jobs - args.left)
        found = [to_first(args.jobs) for _ in range(args.repeats)]
    for name, values in zip(("elapsed", "of a processor"), zip(*found, strict=True), strict=True):
        shown = ", ".join(f"{each:.1f}" for each in values)
        print(f"{args.jobs} jobs, {args.jobs - args.left} finished: first job after {shown} s {name}; ", end="")
        print(f"median {statistics.median(values):.1f} s")


def command(jobs: int) -> list[str]:
    line = [sys.executable, "-m", "cnntrain", "-m", *SMALL, f"seed=range({jobs})", f"hydra.sweep.dir={PLACE}"]
    return line


def finish(count: int) -> None:
    """Make runs of all seeds below `count` out of the first, and lines on them."""
    lines = [json.loads(each) for each in (PLACE / JOBS).read_text().splitlines()]
    first = Path(next(each["run"] for each in lines if "run" in each))
    typed = [word if "=" in word and word.startswith(("data=", "model=")) else f"++{word}" for word in SMALL]
    source, found = sources(), []
    for seed in range(count):
        place = first.with_name(f"copy-{seed}")
        place.mkdir()
        for name in ("result.json", "config.yaml"):
            text = (first / name).read_text().replace("seed: 0\n", f"seed: {seed}\n")
            (place / name).write_text(text)
        for name in ("last.ckpt", "best.ckpt", "metrics.jsonl", "train.log", "commands.json"):
            (place / name).touch()
        changed = os.stat(place / "config.yaml").st_mtime_ns
        found.append({"job": key_of([*typed, f"++seed={seed}"], source), "run": str(place), "changed": changed})
    index.add(PLACE / JOBS, found)
    index.find(Path("outputs"), {})  # as each job before has read the configuration of the one before it


def to_first(jobs: int) -> tuple[float, float]:
    """Seconds to the first job: elapsed, and of a processor."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    process = subprocess.Popen(command(jobs), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if line.startswith("lenet5:"):  # the first line of a run
            break
    else:
        sys.exit(f"no job started:\n{''.join(said)}")
    seconds = time.perf_counter() - start
    process.kill()
    process.wait()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
