"""Keeping what the frozen part of a network computes: what, where, under which key; and filling it."""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torchvision
from torch import Tensor

from cnntrain import __version__, checkpoint, dist
from cnntrain.data.loader import Loader, Plan
from cnntrain.errors import ConfigError, RunError
from cnntrain.transfer import cache
from cnntrain.transfer.base import PartlyFrozen, bytes_of, in_units
from cnntrain.transfer.cache import Entry
from cnntrain.transfer.split import Split

if TYPE_CHECKING:
    from cnntrain.run import Run

RAM, DISK, OFF = "ram", "disk", "off"
SHARE = {RAM: 0.5, DISK: 0.9}  # of what is free, at most
DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16}
SAY_SECONDS = 10.0


class Prefix:
    """The frozen part: images on the device to the values at the cut."""

    def __init__(self, parts: Split, run: Run):
        self.graph = parts.prefix
        self.precision = run.precision

    @torch.no_grad()
    def __call__(self, images: Tensor) -> tuple[Tensor, ...]:
        with self.precision:
            return self.graph(images)


@dataclass
class Held:
    """One part's values at the cut: a row for each image, and the rows of one view after those of the other."""

    tensors: list[Tensor]
    views: int
    place: str


def activations(run: Run, parts: Split, prefix: Prefix) -> dict[str, Held] | None:
    """What is kept of each part (train, val); nothing of a part whose images are seen anew in each epoch.

    Returns:
        None where a signal came before all was computed.

    Raises:
        ConfigError: it does not fit where the configuration wants it.
        RunError: the disk is full or cannot be written.
    """
    policy = run.config.transfer
    assert isinstance(policy, PartlyFrozen)
    views = {part: _views(run, part) for part in ("train", "val")}
    weights = checkpoint.digest(parts.state())
    entries = {part: _entry(run, parts, weights, part, count) for part, count in views.items() if count}
    root = cache.root(policy.cache_dir)
    place, why = dist.from_first(lambda: _place(policy, list(entries.values()), root))
    if policy.cache == "auto":
        place, why = _as_before(run, parts, place, why)
    run.progress.kept = {"cut": parts.key, "place": place}
    _say(run, parts, entries, place, why)
    held = {}
    for part, entry in entries.items() if place != OFF else ():
        tensors = _tensors(run, entry, root if place == DISK else None, part, prefix)
        if tensors is None:
            return None
        held[part] = Held(tensors, views[part], place)
    return held


def _views(run: Run, part: str) -> int:
    """How many views of each image are kept; 0 where every epoch has others."""
    if part != "train" or not run.config.augment.is_random:
        return 1
    assert isinstance(run.config.transfer, PartlyFrozen)
    return run.config.transfer.views or 0


def _entry(run: Run, parts: Split, weights: str, part: str, views: int) -> Entry:
    """What a part's values are; the key covers everything that they depend on, to the last bit.

    Args:
        weights: digest of those of the frozen part.
    """
    config, samples = run.config, _loader(run, part).samples
    assert isinstance(config.transfer, PartlyFrozen)
    dtypes = [DTYPES.get(config.transfer.cache_dtype, dtype) for dtype in parts.dtypes]
    depends_on = {
        "cut": parts.key,
        "weights": weights,
        "preprocess": asdict(run.loaders.preprocess),
        "augment": asdict(config.augment),
        "data": [run.data.fingerprint, part],
        "views": [views, samples.seed] if samples.seed is not None else None,
        "types": [str(dtype) for dtype in dtypes],
        "precision": config.trainer.precision,
        "batch": run.loaders.batch_size,
        "device": [run.device.type, torch.backends.cpu.get_cpu_capability()],
        "versions": [__version__, torch.__version__, torchvision.__version__],
    }
    about = {"model": config.model.name, "data": config.data.name, "part": part, "cut": parts.cut, "views": views}
    shapes = [(len(samples) * views, *shape) for shape in parts.shapes]
    return Entry(checkpoint.digest(depends_on), shapes, dtypes, about)


def _loader(run: Run, part: str) -> Loader:
    return run.loaders.train if part == "train" else run.loaders.val


def _place(policy: PartlyFrozen, entries: list[Entry], root: Path) -> tuple[str, str]:
    """Where the entries are kept, and why there.

    Raises:
        ConfigError: the configuration names a place where they do not fit.
    """
    if policy.cache == OFF:
        return OFF, "transfer.cache=off"
    needed = sum(entry.size for entry in entries)
    if policy.cache in ("auto", DISK) and all(entry.is_in(root) for entry in entries):
        return DISK, f"found in {root}"
    free = {RAM: cache.free_memory(shared=dist.local_world_size() > 1), DISK: cache.free_disk(root)}
    if needed > bytes_of("cache_budget", policy.cache_budget):
        problem = f"more than transfer.cache_budget={policy.cache_budget}"
    else:
        for place in (RAM, DISK) if policy.cache == "auto" else (policy.cache,):
            if needed <= free[place] * SHARE[place]:
                return place, f"of {in_units(free[place])} free"
        problem = f"too much for {in_units(free[RAM])} of free RAM and {in_units(free[DISK])} of disk"
    if policy.cache == "auto":
        return OFF, f"{in_units(needed)} are {problem}"
    raise ConfigError(f"transfer.cache={policy.cache}: the activations take {in_units(needed)}, {problem}")


def _as_before(run: Run, parts: Split, place: str, why: str) -> tuple[str, str]:
    """Kept or not as before an interruption: batches of another size may differ in the last bit."""
    before = run.progress.kept
    if before is None or before["cut"] != parts.key:
        return place, why
    if before["place"] == OFF:
        return OFF, "as before the interruption"
    if place == OFF:
        run.report.say(f"note: activations were kept before and are not now ({why}): this resume is inexact")
    return place, why


def _say(run: Run, parts: Split, entries: dict[str, Entry], place: str, why: str) -> None:
    """Tell where the network is cut, and what becomes of the values there."""
    say = run.report.say
    say(f"frozen up to {', '.join(parts.cut)} {' + '.join(str(list(shape)) for shape in parts.shapes)}")
    if "train" not in entries:
        name = run.config.augment.name
        say(f"  computed for each batch: augment={name} is random (transfer.views=<n> keeps n views of each image)")
    elif entries["train"].about["views"] > 1 or run.config.augment.is_random:
        views = entries["train"].about["views"]
        say(f"  transfer.views={views} is an approximation: no image is seen in more than {views} ways")
    if place == OFF:
        say(f"  not kept: {why}")
        return
    kinds = sorted({str(dtype).removeprefix("torch.") for entry in entries.values() for dtype in entry.dtypes})
    rows = " and ".join(f"{part} {entry.shapes[0][0]:,}" for part, entry in entries.items())
    size = in_units(sum(entry.size for entry in entries.values()))
    say(f"  computed once for {rows}, {size} of {', '.join(kinds)} kept in {place}: {why}")


def _tensors(run: Run, entry: Entry, root: Path | None, part: str, prefix: Prefix) -> list[Tensor] | None:
    """An entry's tensors with all values in them: found on disk under `root`, or computed."""
    leads = dist.local_rank() == 0  # each machine has a folder of its own, or all see the same
    if root is not None and not dist.any_rank(leads and not entry.is_whole(root)):
        return entry.mapped(root / entry.key)
    start = time.perf_counter()
    with _space(entry, root) as (tensors, folder):
        done = _compute(run, entry, tensors, part, prefix)
        if done and root is not None and folder is not None and leads:
            _publish(entry, folder, root)
    if part == "train":  # the time of validation is counted nowhere
        run.progress.seconds += time.perf_counter() - start
    return tensors if done else None


@contextmanager
def _space(entry: Entry, root: Path | None) -> Iterator[tuple[list[Tensor], Path | None]]:
    """Tensors to fill: in this process's memory, or in files that this machine's processes share.

    The files' folder is gone after the block, unless it was published; what is mapped stays.

    Raises:
        RunError: there is no room.
    """
    if root is None and dist.local_world_size() == 1:
        yield entry.in_memory(), None
        return
    token = dist.from_first(lambda: uuid.uuid4().hex[:12])
    folder = (root or cache.SHARED_MEMORY) / f"{entry.key}.{token}{cache.UNFINISHED}"
    leads, problem = dist.local_rank() == 0, None
    try:
        if leads:
            cache.sweep(folder.parent)
            entry.make_files(folder)
    except OSError as error:
        problem = error
    if dist.any_rank(problem is not None):
        raise RunError(
            f"cannot keep the activations in {folder.parent}: {problem}; choose transfer.cache_dir or cache=off"
        )
    try:
        yield entry.mapped(folder), folder
    finally:
        if leads:
            shutil.rmtree(folder, ignore_errors=True)


def _publish(entry: Entry, folder: Path, root: Path) -> None:
    try:
        entry.publish(folder, root)
    except OSError as error:
        raise RunError(
            f"cannot keep the activations in {root}: {error}; choose transfer.cache_dir or cache=off"
        ) from error


def _compute(run: Run, entry: Entry, tensors: list[Tensor], part: str, prefix: Prefix) -> bool:
    """Fill the tensors, every rank of a machine its share of the batches; False where a signal came first.

    The batches are the same however many ranks there are, so that the values are.
    """
    loader, size = _loader(run, part), run.loaders.batch_size
    count, rows = len(loader.samples), entry.shapes[0][0]
    starts = range(0, rows, size)
    mine = list(starts)[dist.local_rank() :: dist.local_world_size()]
    plan: Plan = [[divmod(row, count) for row in range(start, min(start + size, rows))] for start in mine]
    batches = loader.batches(plan)
    said = time.monotonic()
    for number in range(ceil(len(starts) / dist.local_world_size())):
        if number < len(mine):
            images, _ = next(batches)
            for tensor, values in zip(tensors, prefix(images), strict=True):
                tensor[mine[number] : mine[number] + len(images)] = values
        if run.stop_requested():
            return False
        if time.monotonic() - said > SAY_SECONDS:
            said = time.monotonic()
            run.report.say(
                f"  {part}: {starts[min((number + 1) * dist.local_world_size(), len(starts)) - 1]:,} of {rows:,}"
            )
    return True
