"""`cnntrain check` on a folder with planted faults: how many it finds, its false alarms, and its time against decoding.

    python scripts/check_planted.py --images 20000 --rounds 3

Draws a folder of made-up photographs in 8 classes and 3 parts, in groups of 4, and plants 30 faults of 12 kinds in it.
Then times passes that only decode, and whole checks, in turn.
"""

from __future__ import annotations

import argparse
import io
import resource
import shutil
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageEnhance

from cnntrain.build.data import workers
from cnntrain.commands.check import Check
from cnntrain.config.check import check as configured
from cnntrain.config.check import plain
from cnntrain.config.compose import compose_config
from cnntrain.config.search_path import looking_in
from cnntrain.data.base import Data
from cnntrain.data.batches.readable import code, each_of
from cnntrain.study.checking.everything import Checked, check_everything
from cnntrain.study.checking.findings import UNUSABLE, Finding
from cnntrain.study.checking.opening import opened

CLASSES = 8
PARTS = {"train": 0.8, "val": 0.1, "test": 0.1}
GROUP = 4  # images
PATTERN = "(g[0-9]+|h[0-9]+)-?[0-9]*[.]"
PLANTED = {
    "empty": 2, "damaged": 3, "not_an_image": 2, "too_large": 2, "missing": 2, "duplicate": 3, "leak": 3,
    "contradiction": 2, "near_duplicate": 3, "near_leak": 3, "label": 3, "group_leak": 2,
}  # fmt: skip


class Fault(NamedTuple):
    """What was planted, and the ids of which a finding of its kind must name the first."""

    kind: str
    id: str


def picture(number: int, label: int, size: tuple[int, int]) -> Image.Image:
    """A made-up photograph: clouds of all sizes, and a grating in the direction of its class under them."""
    random = np.random.default_rng([7, number])
    width, height = size[0] // 2, size[1] // 2  # drawn at half the size: noise is what has the finest detail
    clouds = np.zeros((height, width, 3), np.float32)
    for octave in range(1, 7):
        noise = Image.fromarray(random.integers(0, 256, (2**octave, 2**octave, 3), dtype=np.uint8))
        clouds += (np.asarray(noise.resize((width, height), Image.Resampling.BICUBIC)) / 255 - 0.5) * 1.6**-octave
    rows, columns = np.mgrid[:height, :width] / height
    angle = np.pi * (label + random.uniform(-0.25, 0.25)) / CLASSES
    along = columns * np.cos(angle) + rows * np.sin(angle)
    grating = np.sin(2 * np.pi * (along * random.uniform(2.5, 3.5) + random.uniform()))
    colour = random.uniform(-1, 1, 3)
    values = 0.5 + 0.55 * clouds + 0.18 * grating[..., None] * (colour / np.linalg.norm(colour) + 0.4)
    whole = Image.fromarray((values.clip(0, 1) * 243).astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
    return Image.fromarray(np.asarray(whole) + random.integers(0, 12, (size[1], size[0], 1), dtype=np.uint8))


def layout(count: int) -> list[tuple[str, int, int, str]]:
    """Part, number, label and path of each sound image."""
    found = []
    for number in range(count):
        group = number // GROUP
        place = np.random.default_rng([8, group]).uniform()
        part = "train" if place < PARTS["train"] else "val" if place < PARTS["train"] + PARTS["val"] else "test"
        label = group % CLASSES
        found.append((part, number, label, f"{part}/class{label}/g{group:05}-{number % GROUP}.jpg"))
    return found


def draw(root: Path, size: tuple[int, int], entry: tuple[str, int, int, str]) -> None:
    _, number, label, path = entry
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    picture(number, label, size).save(root / path, quality=88)


def plant(root: Path, count: int, size: tuple[int, int], workers: int) -> list[Fault]:
    """Draw `count` images below the folder, and faults among them."""
    entries = layout(count)
    paint = partial(draw, root, size)
    if workers > 1:
        with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
            list(pool.map(paint, entries, chunksize=64))
    else:
        list(map(paint, entries))
    trained = [each for each in entries if each[0] == "train"]
    chosen = iter(np.random.default_rng(9).permutation(len(trained)).tolist())
    fresh = iter(range(count, 2 * count))
    faults = []
    for kind, times in PLANTED.items():
        for turn in range(times):
            source = trained[next(chosen)]
            faults.append(Fault(kind, _planted(root, kind, turn, source, next(fresh), size)))
    return faults


def _planted(root: Path, kind: str, turn: int, source: tuple[str, int, int, str], fresh: int, size: Any) -> str:
    """Plant a fault; `source` is an image that may be spoiled or copied, `fresh` the number of a new one."""
    _, number, label, path = source
    file, other = root / path, (label + 1 + turn) % CLASSES
    new = f"h{fresh:05}"
    for part in PARTS:  # a small part may have no image of a class
        for each in (label, other):
            (root / part / f"class{each}").mkdir(parents=True, exist_ok=True)
    if kind == "empty":
        file.write_bytes(b"")
    elif kind == "damaged":
        file.write_bytes(file.read_bytes()[: file.stat().st_size * (turn + 1) // 5])
    elif kind == "not_an_image":
        file.write_bytes([b"<html>404 Not Found</html>", bytes(range(256)) * 20][turn])
    elif kind == "too_large":
        content = io.BytesIO()
        Image.new("1", (10_000, 9_500 + turn)).save(content, "PNG")
        file.write_bytes(content.getvalue())
    elif kind == "missing":
        file.unlink()
        file.symlink_to("/nowhere/image.jpg")
    elif kind == "duplicate":  # the same pixels in another file
        path = f"train/class{label}/{new}.png"
        Image.open(file).save(root / path)
    elif kind == "leak":
        path = f"{['val', 'test', 'test'][turn]}/class{label}/{new}.jpg"
        shutil.copy(file, root / path)
    elif kind == "contradiction":
        path = f"train/class{other}/{new}.jpg"
        shutil.copy(file, root / path)
    elif kind in ("near_duplicate", "near_leak"):
        path = f"{'train' if kind == 'near_duplicate' else 'test'}/class{label}/{new}.jpg"
        _nearly(Image.open(file), turn).save(root / path, quality=60)
    elif kind == "label":
        path = f"train/class{(label + CLASSES // 2) % CLASSES}/{new}.jpg"
        picture(fresh, label, size).save(root / path, quality=88)
    elif kind == "group_leak":
        path = f"test/class{label}/g{number // GROUP:05}-9.jpg"
        picture(fresh, label, size).save(root / path, quality=88)
    return path


def _nearly(image: Image.Image, turn: int) -> Image.Image:
    """The picture compressed harder, at half the size, or lighter."""
    if turn == 1:
        return image.resize((image.width // 2, image.height // 2))
    return ImageEnhance.Brightness(image).enhance(1.04) if turn == 2 else image


def missed_and_alarms(faults: list[Fault], findings: Sequence[Finding]) -> tuple[list[Fault], list[Finding]]:
    """The planted faults that no finding of their kind names, and the findings that name no planted fault."""
    missed = [each for each in faults if not any(f.kind.name == each.kind and each.id in f.ids for f in findings)]
    planted = {each.id for each in faults}
    findings = [each for each in findings if each.kind != UNUSABLE]  # which says of the groups that they are torn
    return missed, [each for each in findings if not planted & set(each.ids)]


def source_at(root: Path) -> Data:
    """The folder as ``data=imagefolder`` has it, with its groups."""
    with looking_in(None):
        words = ["data=imagefolder", f"++data.root={root}", f"++data.group='{PATTERN}'"]
        return configured(plain(compose_config("check", words)), Check).data


def cpu_seconds() -> float:
    """Of this process and of those that it has started and that have ended."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def timed(do: Callable[[], Any]) -> tuple[float, float, Any]:
    """Seconds, seconds of computing by all processes, and what came of it."""
    start, computing = time.perf_counter(), cpu_seconds()
    found = do()
    return time.perf_counter() - start, cpu_seconds() - computing, found


def decode(source: Data) -> None:
    """The pass to compare with: every image is read, by as many processes."""
    for part in opened(source).parts.values():
        for _ in each_of(part, code, workers(source)):
            pass


def check(source: Data) -> Checked:
    return check_everything(opened(source), workers(source), judges_labels=True, group=source.group)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--size", type=int, nargs=2, default=(320, 240), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    ratios: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        source = source_at(Path(folder))
        faults = plant(Path(folder), args.images, tuple(args.size), workers(source))
        print(f"drawn: {args.images:,} images and {len(faults)} faults", flush=True)
        for _ in range(args.rounds):
            decoding, decoding_cpu, _ = timed(lambda: decode(source))
            checking, checking_cpu, checked = timed(lambda: check(source))
            ratios.append((checking / decoding, checking_cpu / decoding_cpu))
            parts = {name: round(each, 1) for name, each in checked.seconds.items()}
            print(
                f"decoding {decoding:.1f} s ({decoding_cpu:.1f} of CPU), check {checking:.1f} s ({checking_cpu:.1f} of "
                f"CPU) {parts}: {ratios[-1][0]:.2f} x, of CPU {ratios[-1][1]:.2f} x",
                flush=True,
            )
    missed, alarms = missed_and_alarms(faults, checked.findings)
    size = "x".join(map(str, args.size))
    print(f"{len(checked.looks):,} images of {size}, {len(faults)} planted faults of {len(PLANTED)} kinds: ", end="")
    print(f"{len(faults) - len(missed)} found; missed: {missed}")
    print(f"false alarms: {len(alarms)}: {dict(Counter(each.kind.name for each in alarms))}")
    print(f"labels: judged by a classifier that is right on {checked.judged.accuracy:.1%}")
    wall, cpu = (statistics.median(each) for each in zip(*ratios, strict=True))
    print(f"medians: {wall:.2f} times one pass of decoding, {cpu:.2f} times its CPU seconds")


if __name__ == "__main__":
    main()
