"""Keeping what the frozen part of a network computes: what, where, and under which key; `filling` computes it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
import torch
import torchvision

from cnntrain.core import dist
from cnntrain.core.digest import digest
from cnntrain.core.errors import ConfigError
from cnntrain.core.units import bytes_of, in_bytes
from cnntrain.core.version import __version__
from cnntrain.transfer.base import PartlyFrozen
from cnntrain.transfer.frozen import filling, store
from cnntrain.transfer.frozen.activations import Held, Prefix
from cnntrain.transfer.frozen.around import Around
from cnntrain.transfer.frozen.cut import Cut
from cnntrain.transfer.frozen.store import Entry

RAM, DISK, OFF = "ram", "disk", "off"
FOUND = "found in"
SHARE = {RAM: 0.5, DISK: 0.9}  # of what is free, at most
DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16}


def activations(
    cut: Cut, prefix: Prefix, policy: PartlyFrozen, around: Around, before: Mapping[str, Any] | None
) -> tuple[dict[str, Held], str, float]:
    """What is kept of each part (train, val); nothing of a part whose images are seen anew in each epoch.

    Returns:
        That, the place where it is, and the seconds that computing the train part took; 0 where it was found.

    Raises:
        ConfigError: it does not fit where the configuration wants it.
        RunError: the disk is full or cannot be written.
        StopError: a signal came before all was computed.
    """
    views = {"train": (policy.views or 0) if around.is_random else 1, "val": 1}
    weights = digest(cut.state())
    entries = {part: _entry(cut, policy, around, weights, part, count) for part, count in views.items() if count}
    root = store.root(policy.cache_dir)
    place, why = dist.from_first(lambda: _place(policy, around, list(entries.values()), root))
    if policy.cache == "auto":
        place, why = _as_before(before, cut, around, place, why)
    _say(cut, policy, around, entries, place, why)
    if place == DISK:
        _make_room(policy, around, list(entries.values()), root)
    held, seconds = {}, 0.0
    for part, entry in entries.items() if place != OFF else ():
        filler = filling.Filler(around.loaders[part], around.batch_size, prefix, around.say, around.heed)
        held[part] = Held(filler.tensors(entry, root if place == DISK else None), views[part], place)
        if part == "train":
            seconds = filler.seconds
    return held, place, seconds


def _entry(cut: Cut, policy: PartlyFrozen, around: Around, weights: str, part: str, views: int) -> Entry:
    """What a part's values are; the key covers everything that they depend on.

    Args:
        weights: digest of those of the frozen part.
    """
    samples = around.loaders[part].samples
    dtypes = [DTYPES.get(policy.cache_dtype, dtype) for dtype in cut.dtypes]
    depends_on = {
        **around.depends_on,
        "cut": [cut.key, cut.shapes],
        "weights": weights,
        "part": [part, len(samples)],
        "views": [views, samples.seed] if samples.seed is not None else None,
        "types": [str(dtype) for dtype in dtypes],
        "batch": around.batch_size,
        "device": [around.device.type, torch.backends.cpu.get_cpu_capability()],
        "versions": [__version__, torch.__version__, torchvision.__version__, timm.__version__],
    }
    about = {"model": around.model, "data": around.data, "part": part, "cut": cut.names, "views": views}
    shapes = [(len(samples) * views, *shape) for shape in cut.shapes]
    return Entry(digest(depends_on), shapes, dtypes, about)


def _place(policy: PartlyFrozen, around: Around, entries: list[Entry], root: Path) -> tuple[str, str]:
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
            free, problem = _free(place, around, root)
            if problem is None and needed <= free * SHARE[place]:
                return place, f"of {in_bytes(free)} free"
            problems.append(problem or f"too much for {in_bytes(free)} of free {place}")
    why = f"the activations take {in_bytes(needed)}, {' and '.join(problems)}"
    if policy.cache == "auto" and policy.views is None:
        return OFF, why
    raise ConfigError(f"transfer.{'cache=' + policy.cache if policy.views is None else f'views={policy.views}'}: {why}")


def _make_room(policy: PartlyFrozen, around: Around, entries: list[Entry], root: Path) -> None:
    """On each machine: what all runs have left together stays within the budget."""
    budget = bytes_of(policy.cache_budget)
    assert budget is not None, "checked with the configuration"
    if dist.local_rank() == 0:
        needed = sum(entry.size for entry in entries if not entry.is_in(root))
        keys = [entry.key for entry in entries]
        count, size = store.make_room(root, needed, budget, keys) if needed else (0, 0)
        if count:
            around.say(
                f"  deleted {count} entries that were not used for longest, {in_bytes(size)}: transfer.cache_budget="
                f"{policy.cache_budget}"
            )


def _free(place: str, around: Around, root: Path) -> tuple[int, str | None]:
    """Bytes that are free, and what else is in the way."""
    if place == RAM:
        return around.free_memory(dist.local_world_size() > 1), None
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root):
            return around.free_disk(root), None
    except OSError as error:
        return 0, f"{root} cannot be written ({error.strerror}): choose transfer.cache_dir"


def _as_before(before: Mapping[str, Any] | None, cut: Cut, around: Around, place: str, why: str) -> tuple[str, str]:
    """Kept or not as before an interruption: batches of another size may differ in the last bit."""
    if before is None or before["key"] != cut.key:
        return place, why
    if before["place"] == OFF:
        return OFF, "as before the interruption"
    if place == OFF:
        around.say(f"note: activations were kept before and are not now ({why}): this resume is inexact")
    return place, why


def _say(cut: Cut, policy: PartlyFrozen, around: Around, entries: Mapping[str, Entry], place: str, why: str) -> None:
    """Tell where the network is cut, and what becomes of the values there."""
    say = around.say
    say(f"frozen up to {', '.join(cut.names)} {' + '.join(str(list(shape)) for shape in cut.shapes)}")
    if "train" not in entries:
        say(
            f"  computed for each batch: augment={around.augment} is random (transfer.views=<n> keeps n views of each "
            "image)"
        )
    elif around.is_random:
        say(f"  transfer.views={policy.views} is an approximation: no image is seen in more than {policy.views} ways")
    if place == OFF:
        say(f"  not kept: {why}")
        return
    kinds = sorted({str(dtype).removeprefix("torch.") for entry in entries.values() for dtype in entry.dtypes})
    rows = " and ".join(f"{part} {entry.shapes[0][0]:,}" for part, entry in entries.items())
    size = in_bytes(sum(entry.size for entry in entries.values()))
    when = "before" if why.startswith(FOUND) else "once"
    say(f"  computed {when} for {rows}, {size} of {', '.join(kinds)} kept in {place}: {why}")
