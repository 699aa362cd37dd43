"""Let the disk of a run become full at many moments, or be read-only: is it said, and is anything lost?

    python scripts/full_disk.py [--fills 20] [--seed 0]

Needs root, for disks in memory. Half of the fills are disks that are too small from the start, from one page to nearly
what a run needs; the others become full at a random moment of one. The runs keep two generations of checkpoints, four,
or activations on the same disk, in turn. Each must end with a message that names a file or folder there and says that
no space is left, and no traceback; what was saved before must load; and once the disk is larger the same command must
come to the weights of the uninterrupted run. Then commands that write meet a read-only disk. Prints a line for each,
and a line of counts.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

PAGE = 4096
AMPLE = 256 * 1024 * 1024  # bytes
COMMON = [
    "data=fake", "data.train_size=256", "data.image_size=32", "data.batch_size=32", "data.num_workers=0",
    "optim.lr=0.02", "trainer.epochs=12", "trainer.device=cpu", "checkpoint.every_steps=3", "checkpoint.time_share=1",
    "name=job", "resume=auto",
]  # fmt: skip
KINDS = {
    "two generations": ["model=lenet5", "augment=flip_crop"],
    "four generations": ["model=lenet5", "augment=flip_crop", "checkpoint.keep=4"],
    "activations": [
        "model=resnet20", "augment=none", "model.pretrained=false", "transfer=linear_probe", "transfer.cache=disk",
    ],
}  # fmt: skip


@dataclass
class Disk:
    """A file system in memory."""

    place: Path

    @property
    def used(self) -> int:
        found = os.statvfs(self.place)
        return (found.f_blocks - found.f_bfree) * found.f_frsize

    def set(self, *options: str) -> bool:
        line = ["mount", "-o", ",".join(("remount", *options)), str(self.place)]
        return subprocess.run(line, capture_output=True).returncode == 0

    def enlarge(self) -> None:
        assert self.set(f"size={AMPLE}")

    def digests(self) -> dict[str, str]:
        """Of all files, by their names."""
        return {
            str(each.relative_to(self.place)): sha256(each.read_bytes()).hexdigest()
            for each in sorted(self.place.rglob("*"))
            if each.is_file()
        }

    def fill(self, process: subprocess.Popen[str], pages: int) -> None:
        """Leave room for so many pages, at a moment when no checkpoint is half written: what is renamed makes room."""
        while process.poll() is None:
            if self.set(f"size={self.used // PAGE * PAGE + pages * PAGE}") and not list(
                self.place.rglob(".*.ckpt.*.tmp")
            ):
                return
            self.enlarge()


@contextmanager
def disk(size: int) -> Iterator[Disk]:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
        try:
            yield Disk(Path(folder))
        finally:
            subprocess.run(["umount", "-l", folder], check=True)


def command(kind: str, on: Disk) -> list[str]:
    cache = [f"transfer.cache_dir={on.place / 'cache'}"] if kind == "activations" else []
    return ["train", *COMMON, *KINDS[kind], *cache, f"output={on.place / 'outputs'}"]


def start(words: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "cnntrain", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def only(on: Disk, name: str) -> Path | None:
    return next(on.place.glob(f"outputs/job/*/{name}"), None)


def epochs_done(on: Disk) -> int:
    file = only(on, "metrics.jsonl")
    return file.read_text().count('"epoch"') if file is not None else 0


def finished(kind: str, on: Disk) -> str:
    """Run the command to its end; the digest of the weights."""
    process = start(command(kind, on))
    out, err = process.communicate()
    if process.returncode:
        return f"exit code {process.returncode}: {out[-500:]}{err}"
    runs = list(on.place.glob("outputs/job/*/result.json"))
    return json.loads(runs[0].read_text())["weights_sha256"] if len(runs) == 1 else f"{len(runs)} runs"


def problem_of(said: str, code: int | None, on: Disk, why: str) -> str | None:
    """What is wrong with how a command ended that could not write; None where it is as it should be."""
    messages = [line for line in said.splitlines() if line.startswith("cnntrain: ")]
    if "Traceback" in said:
        return f"a traceback: {said[-1500:]}"
    if code not in (1, 2):
        return f"exit code {code}: {said[-500:]}"
    if not any(str(on.place) in line and why in line.lower() for line in messages):
        return f"no message that names a place and says {why!r}: {said[-500:]}"
    return None


def filled(kind: str, wanted: str, on: Disk, epoch: int | None, pages: int) -> tuple[str, str | None]:
    """Let one run meet a full disk, then go on with it; returns what stood in the message, and what is wrong.

    Args:
        epoch: after which the disk has so many `pages` left; None: it is too small from the start.
    """
    from cnntrain.core.errors import InputError
    from cnntrain.runs import checkpoint

    process, before = start(command(kind, on)), 0
    if epoch is not None:
        while epochs_done(on) < epoch and process.poll() is None:
            time.sleep(0.002)
        on.fill(process, pages)
        last = only(on, checkpoint.LAST)
        before = checkpoint.load(last)["progress"]["step"] if last is not None else 0
    _, err = process.communicate()
    shown = next((line for line in err.splitlines() if "o space left" in line), "").replace(f"{on.place}/", "")
    problem = problem_of(err, process.returncode, on, "no space left")
    result = only(on, "result.json")
    if problem is None and before and (result is None or json.loads(result.read_text())["status"] != "failed"):
        problem = "no result.json that says that it failed"
    try:
        for name in (checkpoint.LAST, checkpoint.BEST):
            kept = only(on, name)
            step = checkpoint.load(kept)["progress"]["step"] if kept is not None else 0
            if name == checkpoint.LAST and step < before:
                problem = problem or f"the step {before} that was saved is lost: {step}"
    except InputError as error:
        problem = problem or str(error)
    on.enlarge()
    found = finished(kind, on)
    return shown, problem or (None if found == wanted else f"gone on with it ends in {found}")


def fills(count: int, rng: random.Random) -> tuple[int, int]:
    """How many disks became full, and at how many something was wrong."""
    wanted, needs, wrong, done = {}, {}, 0, 0
    for kind in KINDS:
        with disk(AMPLE) as on:
            wanted[kind] = finished(kind, on)
            needs[kind] = on.used
        print(f"{kind}: needs {needs[kind] / 1024:,.0f} KiB", flush=True)
    while done < count:
        kind = list(KINDS)[done // 2 % len(KINDS)]
        epoch = rng.randrange(1, 11) if done % 2 else None
        share = rng.random() if epoch is None else 1.0
        pages = rng.choice((0, 1, 2, 3, 64))
        size = int(PAGE * (needs[kind] / PAGE) ** share) // PAGE * PAGE if epoch is None else AMPLE
        with disk(size) as on:
            shown, problem = filled(kind, wanted[kind], on, epoch, pages)
        if problem is not None and problem.startswith("exit code 0"):
            print(f"{kind}: full after epoch {epoch}, {size / 1024:,.0f} KiB: it had room enough; again", flush=True)
            continue
        done += 1
        wrong += problem is not None
        when = f"{size / 1024:,.0f} KiB" if epoch is None else f"{pages} pages after epoch {epoch}"
        print(f"{kind}, {when}: {problem or 'nothing lost'}\n  {shown}", flush=True)
    return done, wrong


def read_only() -> tuple[int, int]:
    """How many commands met a read-only disk, and at how many something was wrong."""
    done = wrong = 0
    with disk(AMPLE) as on, disk(AMPLE) as other:
        assert len(finished("activations", on)) == 64
        run = next(on.place.glob("outputs/job/*"))
        before = on.digests()
        assert on.set("ro")
        probe = [*COMMON, *KINDS["activations"], f"output={other.place / 'outputs'}"]
        for what, words in {
            "a run's output": ["train", "experiment=smoke", "trainer.device=cpu", f"output={on.place / 'outputs'}"],
            "resume": ["train", f"resume={run}", "trainer.epochs=13"],
            "eval": ["eval", f"run={run}", "device=cpu"],
            "summary": ["summary", "model=lenet5", f"output={on.place / 'table'}"],
            "plot": ["plot", f"runs={on.place / 'outputs'}"],
            "init": ["init", f"folder={on.place / 'new'}"],
            "cache": ["cache", f"cache_dir={on.place / 'cache'}", "clear=true"],
            "activations": ["train", *probe, "seed=1", f"transfer.cache_dir={on.place / 'cache'}"],
        }.items():
            process = start(words)
            _, err = process.communicate()
            problem = problem_of(err, process.returncode, on, "read-only")
            if problem is None and on.digests() != before:
                problem = "files have changed"
            done += 1
            wrong += problem is not None
            line = next((line for line in err.splitlines() if "ead-only" in line), "").replace(f"{on.place}/", "")
            print(f"read-only, {what}: {problem or 'nothing lost'}\n  {line}", flush=True)
        process = start(["train", *probe, f"transfer.cache_dir={on.place / 'cache'}"])
        _, err = process.communicate()
        print(f"read-only, activations that are there: {err or 'used'}", flush=True)
    return done + 1, wrong + (process.returncode != 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    full, wrong = fills(args.fills, random.Random(args.seed)) if args.fills else (0, 0)
    commands, others = read_only()
    print(f"{full} full disks: {wrong} lost something or were not said; {commands} read-only ones: {others}")
    sys.exit(wrong + others > 0)


if __name__ == "__main__":
    main()
