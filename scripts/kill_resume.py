"""Kill a run with SIGKILL at random moments and continue it with the same command: are the final weights the same?

    python scripts/kill_resume.py [--runs 20] [--seed 0] [--what gradual]

Everything that has state is on: plateau after warm-up, dropout, augmentation, accumulation, a moving average. With
``--what gradual`` a net with BatchNorm is unfrozen stage by stage on kept activations, and the kills fall into its
phases in turn. Prints a line a run and at the end how many have the uninterrupted run's final weights and test loss.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

EPOCHS = 30
FULL = [
    "model=lenet5", "data=fake", "data.channels=1", "data.train_size=640", "data.batch_size=32", "augment=flip_crop",
    "model.drop_rate=0.3", f"trainer.epochs={EPOCHS}", "trainer.grad_accum=2", "trainer.ema_decay=0.9",
    "schedule.patience=1", "schedule.warmup_epochs=1.5", "optim.lr=0.02", "checkpoint.every_steps=7", "resume=auto",
]  # fmt: skip
PHASES = 5  # of resnet20: its head, three stages, the stem
GRADUAL = [
    "model=resnet20", "data=fake", "data.train_size=256", "data.image_size=16", "data.batch_size=32", "augment=none",
    "model.pretrained=false", "model.drop_rate=0.3", "transfer=gradual", f"transfer.every={EPOCHS // PHASES}",
    f"trainer.epochs={EPOCHS}", "trainer.ema_decay=0.9", "optim.lr=0.02", "checkpoint.every_steps=3", "resume=auto",
]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--what", choices=("full", "gradual"), default="full")
    args = parser.parse_args()
    settings = GRADUAL if args.what == "gradual" else FULL
    rng = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as folder:
        start = time.monotonic()
        reference = to_the_end(settings, Path(folder) / "reference")
        seconds = time.monotonic() - start
        print(f"uninterrupted: {seconds:.1f} s, {digests(reference)}", flush=True)
        same = 0
        for number in range(args.runs):
            output = Path(folder) / str(number)
            epoch = rng.randrange(EPOCHS)
            if settings is GRADUAL:
                epoch = number % PHASES * (EPOCHS // PHASES) + rng.randrange(EPOCHS // PHASES)
            killed = kill_somewhere(settings, output, epoch, rng)
            result = to_the_end(settings, output)
            equal = digests(result) == digests(reference)
            same += equal
            print(f"run {number:2d}: killed {killed}; {'identical' if equal else digests(result)}", flush=True)
    print(f"{same} of {args.runs} identical")
    sys.exit(same != args.runs)


def command(settings: list[str], output: Path) -> list[str]:
    return [sys.executable, "-m", "cnntrain", *settings, f"output={output}"]


def to_the_end(settings: list[str], output: Path) -> dict:
    """Run the command until it ends by itself; returns its result."""
    done = subprocess.run(command(settings, output), capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"exit code {done.returncode}\n{done.stdout}{done.stderr}")
    runs = list(output.glob("*/*/result.json"))
    assert len(runs) == 1, f"a resumed run must stay in its folder, not {runs}"
    return json.loads(runs[0].read_text())


def kill_somewhere(settings: list[str], output: Path, epoch: int, rng: random.Random) -> str:
    """Start the command and kill it: while it starts, or a moment after `epoch` epochs; says where it stood."""
    delay = rng.uniform(0, 0.4) if epoch else rng.uniform(0.1, 6)
    process = subprocess.Popen(command(settings, output), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while epochs_done(output) < epoch and process.poll() is None:
        time.sleep(0.005)
    try:
        process.wait(delay)
        shutil.rmtree(output)  # it was faster: this was no kill
        return kill_somewhere(settings, output, epoch, rng)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    return f"{delay:.2f} s after epoch {epoch}, with {epochs_done(output)} epochs done"


def epochs_done(output: Path) -> int:
    return sum(len(file.read_text().splitlines()) for file in output.glob("*/*/metrics.jsonl"))


def digests(result: dict) -> tuple[str, float]:
    return result["weights_sha256"][:16], result["test"]["loss"]


if __name__ == "__main__":
    main()
