"""Keeping what the frozen part of a network computes: what, where, and under which key; `filling` computes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import timm
import torch
import torchvision
from torch import Tensor

from cnntrain.core import dist, store
from cnntrain.core.digest import digest
from cnntrain.core.errors import ConfigError
from cnntrain.core.store import Entry
from cnntrain.core.units import in_bytes
from cnntrain.core.version import __version__
from cnntrain.data.batches.filling import Filler
from cnntrain.data.batches.loader import Loader
from cnntrain.data.batches.plan import Plan
from cnntrain.data.batches.room import DISK, FOUND, OFF, RAM, Room, fits_device
from cnntrain.data.batches.structure import like
from cnntrain.data.batches.structure import tensors as of_targets
from cnntrain.transfer.base import PartlyFrozen
from cnntrain.transfer.frozen.activations import Held, Prefix
from cnntrain.transfer.frozen.around import Around
from cnntrain.transfer.frozen.cut import Cut

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
    room = _room(policy, around)
    place, why = dist.from_first(lambda: _place(policy, list(entries.values()), room))
    if policy.cache == "auto":
        place, why = _as_before(before, cut, around, place, why)
    _say(cut, policy, around, entries, place, why)
    if place == DISK:
        room.make(list(entries.values()), around.say)
    held, seconds = {}, 0.0
    for part, entry in entries.items() if place != OFF else ():
        filler = _filler(around, part, prefix)
        tensors = filler.tensors(entry, room.root if place == DISK else None)
        if fits_device(entry.size, around.device):
            around.say(f"  {part}: in the memory of {around.device} too")
            tensors = [each.to(around.device) for each in tensors]
        width, loader = len(cut.shapes), around.loaders[part]
        targets = like(loader.dense, tensors[width:]) if tensors[width:] else None
        held[part] = Held(tensors[:width], views[part], place, targets)
        if part == "train":
            seconds = filler.seconds
    return held, place, seconds


def _room(policy: PartlyFrozen, around: Around) -> Room:
    root, free = store.root(policy.cache_dir, "activations"), (around.free_memory, around.free_disk)
    return Room(root, "transfer.cache_dir", "transfer.cache_budget", policy.cache_budget, *free)


def _filler(around: Around, part: str, prefix: Prefix) -> Filler:
    loader: Loader = around.loaders[part]

    def values(plan: Plan) -> Iterator[tuple[Tensor, ...]]:
        dense = loader.samples.part.targets is not None
        return ((*prefix(each.inputs), *(of_targets(each.targets) if dense else ())) for each in loader.batches(plan))

    return Filler(
        count=len(loader.samples),
        batch_size=around.batch_size,
        values=values,
        what="the activations",
        ways_out="choose transfer.cache_dir or transfer.cache=off",
        say=around.say,
        heed=around.heed,
    )


def _entry(cut: Cut, policy: PartlyFrozen, around: Around, weights: str, part: str, views: int) -> Entry:
    """What a part's values are; the key covers everything that they depend on.

    Args:
        weights: digest of those of the frozen part.
    """
    loader = around.loaders[part]
    samples = loader.samples
    dtypes = [DTYPES.get(policy.cache_dtype, dtype) for dtype in cut.dtypes]
    depends_on = {
        **around.depends_on,
        "cut": [cut.key, cut.shapes],
        "weights": weights,
        "part": [part, len(samples)],
        "views": [views, loader.varied.seed] if loader.varied is not None else None,
        "packed": loader.packing.side if loader.packing is not None and loader.is_packed else None,
        "types": [str(dtype) for dtype in dtypes],
        "batch": around.batch_size,
        "device": [around.device.type, torch.backends.cpu.get_cpu_capability()],
        "versions": [__version__, torch.__version__, torchvision.__version__, timm.__version__],
    }
    about: store.About = {"model": around.model, "data": around.data, "part": part, "cut": cut.names, "views": views}
    dense = of_targets(loader.dense)  # what is kept beside the values: targets that are seen as the images are
    shapes = [(len(samples) * views, *shape) for shape in (*cut.shapes, *(each.shape for each in dense))]
    return Entry(digest(depends_on), shapes, [*dtypes, *(each.dtype for each in dense)], about)


def _place(policy: PartlyFrozen, entries: list[Entry], room: Room) -> tuple[str, str]:
    """Where the entries are kept, and why there.

    Raises:
        ConfigError: the configuration names a place where they do not fit.
    """
    if policy.cache == OFF:
        return OFF, "transfer.cache=off"
    place, why = room.place(entries, (RAM, DISK) if policy.cache == "auto" else (policy.cache,))
    if place is not None:
        return place, why
    why = f"the activations take {why}"
    if policy.cache == "auto" and policy.views is None:
        return OFF, why
    raise ConfigError(f"transfer.{'cache=' + policy.cache if policy.views is None else f'views={policy.views}'}: {why}")


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
