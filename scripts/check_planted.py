"""`cnntrain check` on a folder with planted faults: how many it finds, its false alarms, and its time against decoding.

    python scripts/check_planted.py --images 20000 --rounds 3

Draws a folder of made-up photographs in 8 classes and 3 parts, in groups of 4, and plants 30 faults of 12 kinds in it. Then
times passes that only decode, and whole checks, in turn.
"""

from __future__ import annotations

import argparse
import io
import shutil
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageEnhance

CLASSES = 8
PARTS = {"train": 0.8, "val": 0.1, "test": 0.1}
GROUP = 4  # images
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
    width, height = size
    clouds = np.zeros((height, width, 3))
    for octave in range(1, 7):
        noise = Image.fromarray(random.integers(0, 256, (2**octave, 2**octave, 3), dtype=np.uint8))
        clouds += (np.asarray(noise.resize(size, Image.Resampling.BICUBIC)) / 255.0 - 0.5) * 1.6**-octave
    rows, columns = np.mgrid[:height, :width] / height
    angle = np.pi * (label + random.uniform(-0.25, 0.25)) / CLASSES
    along = columns * np.cos(angle) + rows * np.sin(angle)
    grating = np.sin(2 * np.pi * (along * random.uniform(2.5, 3.5) + random.uniform()))
    colour = random.uniform(-1, 1, 3)
    values = 0.5 + 0.55 * clouds + 0.18 * grating[..., None] * (colour / np.linalg.norm(colour) + 0.4)
    return Image.fromarray((values.clip(0, 1) * 255).astype(np.uint8))


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
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        list(pool.map(partial(draw, root, size), entries, chunksize=64))
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


def missed_and_alarms(faults: list[Fault], findings: list[Any]) -> tuple[list[Fault], list[Any]]:
    """The planted faults that no finding of their kind names, and the findings that name no planted fault."""
    missed = [
        each for each in faults if not any(f.kind.name == each.kind and each.id in f.ids for f in findings)
    ]
    planted = {each.id for each in faults}
    return missed, [each for each in findings if not planted & set(each.ids)]


def rounds(part_of: Any, check: Any, decode: Any, count: int) -> Iterator[tuple[float, float, Any]]:
    """Seconds of a pass that decodes, of a check, and what it found."""
    for _ in range(count):
        start = time.perf_counter()
        decode()
        middle = time.perf_counter()
        checked = check()
        yield middle - start, time.perf_counter() - middle, checked


def main() -> None:
    from cnntrain.build.data import workers
    from cnntrain.data.batches.readable import code, each_of
    from cnntrain.study.checking.everything import check_everything
    from cnntrain.study.checking.opening import opened

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--size", type=int, nargs=2, default=(320, 240), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="a new folder that is kept; left out: a temporary one")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = args.folder or Path(temporary)
        source = _source(root)
        faults = plant(root, args.images, tuple(args.size), workers(source))
        number = workers(source)

        def decode() -> None:
            for part in opened(source).parts.values():
                for _ in each_of(part, code, number):
                    pass

        def check() -> Any:
            found = opened(source)
            return check_everything(found, number, judges_labels=True, groups=_groups(found.parts))

        times = []
        for decoding, checking, checked in rounds(None, check, decode, args.rounds):
            times.append((decoding, checking))
            print(f"decoding {decoding:.1f} s, check {checking:.1f} s ({checked.seconds}), {checking / decoding:.2f} x")
        missed, alarms = missed_and_alarms(faults, checked.findings)
        print(f"{len(checked.looks):,} images of {args.size[0]}x{args.size[1]}: {len(faults)} planted faults of "
              f"{len(PLANTED)} kinds, found {len(faults) - len(missed)}; missed: {missed}")
        print(f"false alarms: {len(alarms)} {dict(Counter(each.kind.name for each in alarms))}")
        print(f"labels: a classifier that is right on {checked.judged.accuracy:.1%}")
        print(f"medians: decoding {statistics.median(d for d, _ in times):.1f} s, check "
              f"{statistics.median(c for _, c in times):.1f} s, ratio {statistics.median(c / d for d, c in times):.2f}")


if __name__ == "__main__":
    main()
