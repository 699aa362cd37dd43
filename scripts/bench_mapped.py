"""Does training on images that are mapped from disk work where they take many times the memory, and how fast?

    python scripts/bench_mapped.py --folder <on a disk with room> [--limit 1GiB] [--times 10] [--steps 200]

Makes so many small PNG files that their images, 3x224x224 as the network sees them, take `--times` the `--limit`, and
lets `cnntrain bench` keep and train on them, LeNet-5 in batches of 32, in a memory cgroup (version 1, below the
script's own) with that limit and without one, in turns. What the kernel has of the images in memory is dropped before
each. A run checks the sha256 of what it finds, and so reads all of it once. Prints for each images a second of the
data alone, the step alone and of training, the largest memory of the cgroup, with what the kernel has of files, and
how often a page had to be read from disk (major faults) with how many bytes. What it made is deleted.

Where memory is controlled by cgroups of version 2, a process cannot give itself a limit: there
``systemd-run --scope -p MemoryMax=1G -p MemorySwapMax=0 python scripts/bench_mapped.py --folder <folder> --within``
measures with the limit alone.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image

from cnntrain.core.units import bytes_of, in_bytes

SIDE, BATCH = 224, 32
CONTROLLED = Path("/sys/fs/cgroup/memory")
CHILD = """
import json, resource, sys
from cnntrain import cli
code = cli.main(sys.argv[1:])
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({"faults": used.ru_majflt, "read": used.ru_inblock * 512}))
sys.exit(code)
"""


def draw(folder: Path, images: int) -> None:
    """Images of 8 x 8 in two classes, and 2 to validate."""
    random = np.random.default_rng(0)
    for part, count in (("train", images), ("val", 2)):
        for name in "ab":
            (folder / part / name).mkdir(parents=True)
        for number in range(count):
            pixels = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / part / "ab"[number % 2] / f"{number:07}.png", compress_level=1)


@contextmanager
def limited(limit: int | None) -> Iterator[Path]:
    """A cgroup below this process's own."""
    own = next(line.split(":")[2] for line in Path("/proc/self/cgroup").read_text().splitlines() if ":memory:" in line)
    group = CONTROLLED / own.lstrip("/") / f"cnntrain-bench-{os.getpid()}"
    group.mkdir()
    try:
        if limit is not None:
            (group / "memory.limit_in_bytes").write_text(str(limit))
        yield group
    finally:
        for _ in range(100):
            with suppress(OSError):  # a process that has ended is still in it for a moment
                group.rmdir()
                break
            time.sleep(0.1)


def measure(asked: argparse.Namespace, root: Path, words: list[str], limit: int | None) -> dict[str, Any]:
    """What the command prints, of a process with that limit."""
    forget(root)
    with nullcontext() if asked.within else limited(limit) as group:

        def join() -> None:
            if group is not None:
                (group / "cgroup.procs").write_text(str(os.getpid()))

        command = [sys.executable, "-c", CHILD, *words]
        done = subprocess.run(command, capture_output=True, text=True, preexec_fn=join, timeout=asked.timeout)
        if done.returncode:
            raise SystemExit(f"exit code {done.returncode}:\n{done.stderr[-2000:]}")
        facts, _, usage = done.stdout.rstrip().rpartition("\n")
        largest = None if group is None else int((group / "memory.max_usage_in_bytes").read_text())
        return {**json.loads(facts), **json.loads(usage), "largest": largest}


def forget(folder: Path) -> None:
    """Drop what the kernel has of these files in memory."""
    for path in folder.rglob("*.bin"):
        with open(path, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def show(name: str, found: list[dict[str, Any]]) -> None:
    rates = {part: median(each["images_per_second"][part] for each in found) for part in ("data", "step", "training")}
    largest = max((each["largest"] or each["peak_memory_bytes"]) for each in found)
    faults, read = (median(each[key] for each in found) for key in ("faults", "read"))
    print(
        f"{name}: images a second {', '.join(f'{part} {rate:,.0f}' for part, rate in rates.items())}; largest memory "
        f"{in_bytes(largest)}; {faults:,.0f} major faults, {in_bytes(int(read))} read from disk",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--limit", default="1GiB")
    parser.add_argument("--times", type=float, default=10)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=2, help="of a measurement, after one that warms up")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--within", action="store_true", help="the limit is there already")
    parser.add_argument("--timeout", type=float, default=3600, help="seconds of one measurement")
    asked = parser.parse_args()
    limit = bytes_of(asked.limit)
    if limit is None or not (asked.within or (CONTROLLED / "memory.limit_in_bytes").exists()):
        raise SystemExit("--limit must be a size, and memory controlled by cgroups of version 1: see --help")
    images = round(asked.times * limit / (3 * SIDE * SIDE))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was made is deleted
    root = Path(tempfile.mkdtemp(dir=asked.folder))
    try:
        draw(root / "set", images)
        words = [
            "bench", "model=lenet5", "data=imagefolder", f"data.root={root}/set", f"data.image_size={SIDE}",
            "augment=flip_crop", f"data.batch_size={BATCH}", "data.resident_budget=100GB",
            f"data.cache_dir={root}/kept", "trainer.device=cpu", "format=json",
        ]  # fmt: skip
        print(f"{images:,} images, {in_bytes(images * 3 * SIDE * SIDE)}; filling", flush=True)
        limits = {f"with {asked.limit}": limit} | ({} if asked.within else {"without": None})
        measure(asked, root, [*words, "steps=1", "rounds=1"], limit)
        kept = sum(path.stat().st_size for path in root.rglob("0.bin"))
        if kept < images * 3 * SIDE * SIDE:
            raise SystemExit("the images were not kept on disk: has it room?")
        words += [f"steps={asked.steps}", f"rounds={asked.rounds}"]
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in limits}
        for number in range(asked.turns):
            for name, most in limits.items():
                found[name].append(measure(asked, root, words, most))
                show(f"turn {number}, {name}", found[name][-1:])
        for name, each in found.items():
            show(f"median of {len(each)} turns, {name}", each)
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
