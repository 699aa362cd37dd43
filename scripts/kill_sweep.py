"""Kill a sweep of 12 jobs at random moments and give the same command again: does it come to the same table?

    python scripts/kill_sweep.py [--kills 10] [--seed 0] [--longest 30]

SIGKILL and SIGTERM in turn, until so many kills are done and the last sweep has come to its end. After each kill every
run that had finished must be as it was, and a SIGTERM must end with exit code 75; at the end of a sweep its table must
be that of one that nobody interrupted, with one run a job.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SWEEP = (
    "data=fake", "data.channels=1", "data.train_size=256", "data.val_size=64", "data.test_size=64",
    "data.batch_size=32", "model=lenet5", "trainer.device=cpu", "trainer.epochs=8",
    "report.html=false", "checkpoint.every_steps=7",
    "optim.lr=0.1,0.01", "model.drop_rate=0,0.3", "seed=range(3)",
)  # fmt: skip
JOBS = 12


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--longest", type=float, default=30.0, help="seconds at work until a kill, at most")
    args = parser.parse_args()
    rng, sound, number = random.Random(args.seed), 0, 0
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "whole"
        start = time.monotonic()
        assert ended(begun(place)) == 0
        wanted = table(place)
        print(f"uninterrupted: {time.monotonic() - start:.0f} s", flush=True)
        sweeps = 0
        while number < args.kills:
            place, done = Path(folder) / f"killed-{sweeps}", False
            sweeps += 1
            while not done:
                before = finished(place)
                by = [signal.SIGKILL, signal.SIGTERM][number % 2] if number < args.kills else None
                done, problem = once(place, by, rng.uniform(0, args.longest))
                problem = problem or changed(before, finished(place))
                if by is not None and not done:
                    number += 1
                    sound += not problem
                    print(
                        f"kill {number}: {by.name}, {len(finished(place))} finished; {problem or 'sound'}", flush=True
                    )
            same = table(place) == wanted and len(list(place.glob("outputs/fake-*/*/config.yaml"))) == JOBS
            print(
                f"sweep {sweeps}: {'the same table, a run a job' if same else 'another table or more runs'}", flush=True
            )
            if not same:
                sys.exit(1)
    print(f"{sound} of {number} kills sound, {sweeps} sweeps with the same table")
    sys.exit(sound != number)


def begun(place: Path) -> subprocess.Popen[str]:
    place.mkdir(exist_ok=True)
    line = [sys.executable, "-m", "cnntrain", "-m", *SWEEP]
    return subprocess.Popen(line, cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str]) -> int:
    said = process.communicate()[1]
    if process.returncode not in (0, 75, -signal.SIGKILL, -signal.SIGTERM):
        sys.exit(f"exit code {process.returncode}\n{said}")
    return process.returncode


def once(place: Path, by: signal.Signals | None, delay: float) -> tuple[bool, str]:
    """Run the sweep, and send a signal after a while; whether it came to its end, and what was wrong."""
    process = begun(place)
    while by is not None and process.poll() is None and not list(place.glob("outputs/sweeps/*/jobs.jsonl")):
        time.sleep(0.05)
    try:
        process.wait(None if by is None else delay)
    except subprocess.TimeoutExpired:
        at_work = list(place.glob("outputs/sweeps/*/jobs.jsonl"))  # before, signals end it at once
        process.send_signal(by)
        code = ended(process)
        if by == signal.SIGTERM and at_work and code != 75:
            return False, f"exit code {code}"
        return False, ""
    return ended(process) == 0, ""


def finished(place: Path) -> dict[str, tuple[int, str]]:
    """The runs that have finished, each with the time of its result and the digest of its weights."""
    found = {}
    for file in place.glob("outputs/fake-*/*/result.json"):
        result = json.loads(file.read_text())
        if result["status"] == "finished":
            found[str(file)] = (file.stat().st_mtime_ns, result["weights_sha256"])
    return found


def changed(before: dict[str, tuple[int, str]], after: dict[str, tuple[int, str]]) -> str:
    return "; ".join(f"{name} was run again" for name, state in before.items() if after.get(name) != state)


def table(place: Path) -> list[dict]:
    (file,) = place.glob("outputs/sweeps/*/sweep.json")
    return json.loads(file.read_text())["tables"]


if __name__ == "__main__":
    main()
