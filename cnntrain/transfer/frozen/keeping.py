"""Keeping what the frozen part of a network computes: what, where, and under which key; `fill` computes it."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import timm
import torch
import torchvision
from torch import Tensor

from cnntrain import __version__
from cnntrain.core import dist
from cnntrain.core.digest import digest
from cnntrain.core.errors import ConfigError
from cnntrain.core.units import bytes_of, in_bytes
from cnntrain.transfer.base import PartlyFrozen
from cnntrain.transfer.frozen import filling, store
from cnntrain.transfer.frozen.cut import Split
from cnntrain.transfer.frozen.store import Entry

if TYPE_CHECKING:
    from cnntrain.train.run import Run

RAM, DISK, OFF = "ram", "disk", "off"
FOUND = "found in"
SHARE = {RAM: 0.5, DISK: 0.9}  # of what is free, at most
DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16}


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
    weights = digest(parts.state())
    entries = {part: _entry(run, parts, weights, part, count) for part, count in views.items() if count}
    root = store.root(policy.cache_dir)
    place, why = dist.from_first(lambda: _place(policy, list(entries.values()), root))
    if policy.cache == "auto":
        place, why = _as_before(run, parts, place, why)
    run.progress.kept = {"cut": parts.key, "place": place}
    _say(run, parts, entries, place, why)
    held = {}
    for part, entry in entries.items() if place != OFF else ():
        tensors = filling.tensors(run, entry, root if place == DISK else None, prefix)
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
    """What a part's values are; the key covers everything that they depend on.

    Args:
        weights: digest of those of the frozen part.
    """
    config, samples = run.config, getattr(run.loaders, part).samples
    assert isinstance(config.transfer, PartlyFrozen)
    dtypes = [DTYPES.get(config.transfer.cache_dtype, dtype) for dtype in parts.dtypes]
    depends_on = {
        "model": [config.model.name, config.model.args, config.model.stem],
        "cut": [parts.key, parts.shapes],
        "weights": weights,
        "preprocess": asdict(run.loaders.preprocess),
        "augment": asdict(config.augment),
        "data": [run.data.fingerprint, run.data.modified, part],
        "views": [views, samples.seed] if samples.seed is not None else None,
        "types": [str(dtype) for dtype in dtypes],
        "precision": config.trainer.precision,
        "batch": run.loaders.batch_size,
        "device": [run.device.type, torch.backends.cpu.get_cpu_capability()],
        "versions": [__version__, torch.__version__, torchvision.__version__, timm.__version__],
    }
    about = {"model": config.model.name, "data": config.data.name, "part": part, "cut": parts.cut, "views": views}
    shapes = [(len(samples) * views, *shape) for shape in parts.shapes]
    return Entry(digest(depends_on), shapes, dtypes, about)


def _place(policy: PartlyFrozen, entries: list[Entry], root: Path) -> tuple[str, str]:
    """Where the entries are kept, and why there.

    Raises:
        ConfigError: the configuration names a place where they do not fit.
    """
    if policy.cache == OFF:
        return OFF, "transfer.cache=off"
    needed = sum(entry.size for entry in entries)
    if policy.cache in ("auto", DISK) and all(entry.is_in(root) for entry in entries):
        return DISK, f"{FOUND} {root}"
    budget = bytes_of(policy.cache_budget)
    assert budget is not None, "checked with the configuration"
    if needed > budget:
        problems = [f"more than transfer.cache_budget={policy.cache_budget}"]
    else:
        problems = []
        for place in (RAM, DISK) if policy.cache == "auto" else (policy.cache,):
            free, problem = _free(place, root)
            if problem is None and needed <= free * SHARE[place]:
                return place, f"of {in_bytes(free)} free"
            problems.append(problem or f"too much for {in_bytes(free)} of free {place}")
    why = f"the activations take {in_bytes(needed)}, {' and '.join(problems)}"
    if policy.cache == "auto" and policy.views is None:
        return OFF, why
    raise ConfigError(f"transfer.{'cache=' + policy.cache if policy.views is None else f'views={policy.views}'}: {why}")


def _free(place: str, root: Path) -> tuple[int, str | None]:
    """Bytes that are free, and what else is in the way."""
    if place == RAM:
        return store.free_memory(shared=dist.local_world_size() > 1), None
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root):
            return store.free_disk(root), None
    except OSError as error:
        return 0, f"{root} cannot be written ({error.strerror}): choose transfer.cache_dir"


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
    elif run.config.augment.is_random:
        views = entries["train"].about["views"]
        say(f"  transfer.views={views} is an approximation: no image is seen in more than {views} ways")
    if place == OFF:
        say(f"  not kept: {why}")
        return
    kinds = sorted({str(dtype).removeprefix("torch.") for entry in entries.values() for dtype in entry.dtypes})
    rows = " and ".join(f"{part} {entry.shapes[0][0]:,}" for part, entry in entries.items())
    size = in_bytes(sum(entry.size for entry in entries.values()))
    when = "before" if why.startswith(FOUND) else "once"
    say(f"  computed {when} for {rows}, {size} of {', '.join(kinds)} kept in {place}: {why}")
