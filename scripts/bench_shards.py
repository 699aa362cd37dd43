"""How fast images of 100 kB are read from tar shards by their places, in several orders, with none of them in memory.

usage: python scripts/bench_shards.py <folder for 0.8 GB of shards>
"""

from __future__ import annotations

import io
import os
import sys
import tarfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import torch

from cnntrain.data.batches.plan import shuffled
from cnntrain.data.sets.members import Shard, Wanted, indexed_anew

SHARDS, IMAGES, SIZE, ROUNDS = 8, 1000, 100_000, 3


def write(path: Path, first: int) -> None:
    with tarfile.open(path, "w") as tar:
        for number in range(first, first + IMAGES):
            for extension, content in (("jpg", os.urandom(SIZE)), ("cls", b"1")):
                member = tarfile.TarInfo(f"{number:08}.{extension}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))


def forget(shards: Sequence[Shard]) -> None:
    """Take the shards out of the system's memory."""
    for shard in shards:
        with open(shard.path, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def rate(shards: Sequence[Shard], places: Sequence[tuple[int, int, int]], order: Sequence[int]) -> float:
    start = time.perf_counter()
    for position in order:
        shard, offset, size = places[position]
        with open(shards[shard].path, "rb", buffering=0) as file:
            assert len(os.pread(file.fileno(), size, offset)) == size
    return len(order) / (time.perf_counter() - start)


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"train-{number:06}.tar" for number in range(SHARDS)]
    for number, name in enumerate(names):
        write(folder / name, number * IMAGES)
    shards = [Shard.of(folder, name) for name in names]
    forget(shards)
    start = time.perf_counter()
    index = indexed_anew(shards, Wanted("jpg", "cls", None), Counter())
    print(f"the places of {SHARDS * IMAGES:,} images are found in {time.perf_counter() - start:.1f} s")
    places = [(number, offset, size) for number, each in enumerate(index) for _, offset, size, _ in each]
    windows = {"one after the other": 1, "shuffle_window=800": 800, "at random": None}
    rates: dict[str, list[float]] = {name: [] for name in windows}
    for seed in range(ROUNDS):
        for name, window in windows.items():
            generator = torch.Generator().manual_seed(seed)
            order = torch.arange(len(places)) if window == 1 else shuffled(len(places), window, generator)
            forget(shards)
            rates[name].append(rate(shards, places, order.tolist()))
    for name, each in rates.items():
        print(f"{name}: {median(each):,.0f} images/s, from {min(each):,.0f} to {max(each):,.0f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
