"""Kill a sweep of 12 jobs at random moments and give the same command again: does it come to the same table?

    python scripts/kill_sweep.py [--kills 10] [--seed 0] [--longest 30] [--shared]

SIGKILL and SIGTERM in turn, until so many kills are done and the last sweep has come to its end. After each kill every
run that had finished must be as it was, and a SIGTERM must end with exit code 75; at the end of a sweep its table must
be that of one that nobody interrupted, with one run a job.

With --shared it is a search of 8 trials, a new one for each kill, that two processes work on: after some trials one
gets SIGKILL, and the other must come to 8 finished ones, each with a run of its own that has the trial's values and all
its epochs.
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
from collections.abc import Sequence
from pathlib import Path

import optuna
import yaml
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

SWEEP = (
    "data=fake", "data.channels=1", "data.train_size=256", "data.val_size=64", "data.test_size=64",
    "data.batch_size=32", "model=lenet5", "trainer.device=cpu", "trainer.epochs=8",
    "report.html=false", "checkpoint.every_steps=7",
    "optim.lr=0.1,0.01", "model.drop_rate=0,0.3", "seed=range(3)",
)  # fmt: skip
SHARED = (
    *SWEEP[:-3], "trainer.epochs=4", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=8", "hydra.sweep.dir=study",
    "optim.lr=tag(log,interval(1e-3,0.1))", "model.drop_rate=interval(0,0.3)",
)  # fmt: skip
JOBS, TRIALS, EPOCHS = 12, 8, 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--longest", type=float, default=30.0, help="seconds at work until a kill, at most")
    parser.add_argument("--shared", action="store_true", help="two processes on one search, of which one is killed")
    args = parser.parse_args()
    if args.shared:
        shared(args)
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


def shared(args: argparse.Namespace) -> None:
    rng, sound = random.Random(args.seed), 0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(1, args.kills + 1):
            place = Path(folder) / f"shared-{number}"
            both = [begun(place, SHARED) for _ in range(2)]
            while not list(place.glob("study/trials/1/.lock")):  # both are at a trial
                assert all(each.poll() is None for each in both)
                time.sleep(0.05)
            due = rng.randrange(TRIALS - 3)
            while len(finished(place)) < due:
                time.sleep(0.05)
            time.sleep(rng.uniform(0, args.longest))
            victim, other = rng.sample(both, 2)
            before, left = len(finished(place)), other.poll() is not None
            victim.kill()
            victim.communicate()
            if left:  # it had seen nothing more to do
                assert ended(other) == 0
                other = begun(place, SHARED)
            problem = f"exit code {other.returncode}" if ended(other) else missed(place)
            sound += not problem
            print(f"kill {number}: {before} finished before; {problem or 'sound'}", flush=True)
    print(f"{sound} of {args.kills} searches without a trial lost or doubled")
    sys.exit(sound != args.kills)


def missed(place: Path) -> str:
    """What is wrong with the trials of a search that has ended; nothing, it is to be hoped."""
    journal = JournalStorage(JournalFileBackend(str(place / "study" / "journal.log")))
    trials = optuna.load_study(study_name="sweep", storage=journal).trials
    runs = sorted(each.parent for each in place.glob("outputs/fake-*/*/config.yaml"))
    own = [place / each.user_attrs.get("run", "") for each in trials]
    if sorted(own) != runs or len(trials) != TRIALS:
        states = [each.state.name for each in trials]
        return f"{len(trials)} trials of {TRIALS} ({', '.join(states)}), {len(runs)} runs, not one a trial"
    for each, run in zip(trials, own, strict=True):
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        config = yaml.safe_load((run / "config.yaml").read_text())
        values = {"optim.lr": config["optim"]["lr"], "model.drop_rate": config["model"]["drop_rate"]}
        best = json.loads((run / "result.json").read_text())["best"]["val/top1"]
        if [line["epoch"] for line in lines if "epoch" in line] != list(range(1, EPOCHS + 1)):
            return f"trial {each.number} has other epochs"
        if {key.lstrip("+"): value for key, value in each.params.items()} != values or each.values != [best]:
            return f"trial {each.number} is not its run"
    return ""


def begun(place: Path, words: Sequence[str] = SWEEP) -> subprocess.Popen[str]:
    place.mkdir(exist_ok=True)
    line = [sys.executable, "-m", "cnntrain", "-m", *words]
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
