"""Send SIGTERM to a run in each of its parts: how long until it has saved and ended?

    python scripts/signal_exit.py [--rounds 2]

In training, in validation, while activations are computed, in the test, and with two processes. Prints the seconds from
the signal to the exit beside those of a batch; the limit is a batch and 2 seconds. Each run is then continued to its
end.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

LIMIT = 2.0  # seconds beside a batch
WORDS = [
    "model=resnet20", "data=fake", "data.train_size=1024", "data.val_size=4096", "data.test_size=4096",
    "data.image_size=32", "data.batch_size=64", "data.num_workers=0", "augment=none", "trainer.log_every=1",
    "trainer.epochs=1", "trainer.device=cpu",
]  # fmt: skip
KEPT = ["transfer=linear_probe", "model.pretrained=false", "transfer.cache=ram"]

Lines = list[dict[str, object]]


def steps(lines: Lines) -> int:
    return sum("epoch" not in each for each in lines)


def begun(seconds: float) -> bool:
    return seconds > 1.5


CASES: dict[str, tuple[list[str], Callable[[Lines, float], bool]]] = {  # by its lines, and seconds since the last one
    "training": ([], lambda lines, since: steps(lines) >= 3),
    "validation": ([], lambda lines, since: steps(lines) >= 16 and begun(since)),
    "test": ([], lambda lines, since: steps(lines) < len(lines) and begun(since)),
    "activations": (KEPT, lambda lines, since: begun(since)),
    "training, 2 processes": (["devices=2"], lambda lines, since: steps(lines) >= 3),
    "validation, 2 processes": (["devices=2"], lambda lines, since: steps(lines) >= 16 and begun(since)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2)
    args = parser.parse_args()
    late = 0
    for _ in range(args.rounds):
        for name, (words, arrived) in CASES.items():
            with tempfile.TemporaryDirectory() as output:
                seconds, batch, code, finished = stopped(words, arrived, Path(output))
            good = seconds <= batch + LIMIT and code == 75 and finished
            late += not good
            print(
                f"{name}: {seconds:.2f} s to the exit ({batch:.2f} s a batch), code {code}, "
                f"{'then finished' if finished else 'then NOT finished'}{'' if good else ': TOO LATE OR NOT SAVED'}",
                flush=True,
            )
    print(f"{late} of {args.rounds * len(CASES)} too late or not saved")
    sys.exit(late > 0)


def stopped(words: list[str], arrived: Callable[[Lines, float], bool], output: Path) -> tuple[float, float, int, bool]:
    """Seconds to the exit, seconds of a batch of training, exit code, and whether a second command came to the end."""
    command = [sys.executable, "-m", "cnntrain", *WORDS, *words, "resume=auto", f"output={output}"]
    with open(output / "screen", "w") as screen:
        process = subprocess.Popen(command, stdout=screen, stderr=subprocess.STDOUT)
        lines, count, since = [], -1, time.monotonic()
        while not (lines or list(output.glob("*/*/config.yaml"))) or not arrived(lines, time.monotonic() - since):
            assert process.poll() is None, (output / "screen").read_text()
            files = list(output.glob("*/*/metrics.jsonl"))
            lines = (
                [json.loads(each) for each in files[0].read_text().splitlines(True) if each.endswith("\n")]
                if files
                else []
            )
            started = bool(lines or list(output.glob("*/*/train.log")))
            if len(lines) != count or not started:
                count, since = len(lines), time.monotonic()
            time.sleep(0.01)
        start = time.monotonic()
        process.send_signal(signal.SIGTERM)
        code = process.wait(120)
        seconds = time.monotonic() - start
    done = subprocess.run(command, capture_output=True, text=True)
    result = json.loads(next(output.glob("*/*/result.json")).read_text())
    speed = (result.get("train") or {}).get("images_per_second") or 64.0
    return seconds, 64 / speed, code, done.returncode == 0 and result["status"] == "finished"


if __name__ == "__main__":
    main()
