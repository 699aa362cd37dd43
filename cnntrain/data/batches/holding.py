"""Reading a part's images once and keeping them in memory, where they fit and every epoch reads them alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import PIL
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
from cnntrain.data.batches.preprocess import Preprocess
from cnntrain.data.batches.reader import Reader
from cnntrain.data.batches.resident import Resident
from cnntrain.data.batches.room import DEVICE_SHARE, DISK, OFF, RAM, Room, fits_device
from cnntrain.data.batches.samples import Samples
from cnntrain.data.batches.structure import like, tensors
from cnntrain.data.sets.arrays import ArrayImages
from cnntrain.data.sets.bands import DTYPES
from cnntrain.data.sets.dataset import Images
from cnntrain.data.sets.subset import SomeImages


@dataclass(frozen=True)
class Holder:
    """What decides where images are kept.

    Attributes:
        mode: off; auto, where they fit; ram, without leaving anything on disk; device, in a GPU's memory.
        data: name, for people.
        depends_on: plain values that the images depend on besides how they are seen.
        batch_size: images that are read at once.
    """

    mode: str
    room: Room
    seen: Preprocess
    data: str
    depends_on: Sequence[str]
    batch_size: int

    def hold(
        self, parts: Mapping[str, Loader], passes: int, say: Callable[[str], None], heed: Callable[[], None]
    ) -> None:
        """Let loaders read their images from memory, those that are in memory already and those that can be.

        Args:
            passes: how often they will be read.

        Raises:
            ConfigError: the configuration names a place where they do not fit, or that is not there.
            InputError: an image cannot be read.
            StopError: a signal came before all were read.
        """
        if self.mode == OFF:
            return
        if self.mode == "device" and any(each.device.type == "cpu" for each in parts.values()):
            raise ConfigError("data.resident=device: this run is on a CPU, without a GPU's memory: take auto or ram")
        apart = {}
        for name, loader in parts.items():
            found = self._as_it_is(loader)
            if found is not None:
                loader.source = found
            elif (loader.reads_alike or loader.packing) and not isinstance(loader.source, Resident):
                apart[name] = loader
        if apart and (self.mode != "auto" or passes > 1 or any(each.packing for each in apart.values())):
            self._read(apart, say, heed)

    def _as_it_is(self, loader: Loader) -> Resident | None:
        """Of a set that is in memory, in the size that the network sees; targets that are more than labels are read
        with their images."""
        if loader.samples.part.targets is not None:
            return None
        images: Images = loader.samples.part.images
        rows = None
        if isinstance(images, SomeImages):
            rows, images = torch.from_numpy(images.index), images.images
        if not isinstance(images, ArrayImages) or images.tensor.shape[1:] != self.seen.shape:
            return None
        if not (loader.reads_alike and self.seen.fit.changes_nothing_of_its_size):
            return None
        size = images.tensor.numel() * images.tensor.element_size()
        held = images.tensor.to(loader.device) if self._fits_device(size, loader.device) else images.tensor
        return Resident(held, _labels(loader), rows, False, loader.device)

    def _read(self, parts: Mapping[str, Loader], say: Callable[[str], None], heed: Callable[[], None]) -> None:
        entries = {name: self._entry(name, loader) for name, loader in parts.items()}
        wanted = (RAM,) if self.mode == RAM else (DISK, RAM)
        place, why = dist.from_first(lambda: self.room.place(list(entries.values()), wanted))
        if place is None:
            packed = [each.packing.side for each in parts.values() if each.packing]
            if self.mode != "auto" or packed:  # which would otherwise be seen otherwise
                key = f"pack_size={packed[0]}" if packed else f"resident={self.mode}"
                raise ConfigError(f"data.{key}: the images take {why}")
            say(f"images are read anew in each epoch, not kept in memory: they take {why}")
            return
        size = in_bytes(sum(entry.size for entry in entries.values()))
        count = " and ".join(f"{name} {entry.shapes[0][0]:,}" for name, entry in entries.items())
        where = "on disk" if place == DISK else "in memory"
        shapes = dict.fromkeys((self.seen.channels, *entry.shapes[0][1:-1]) for entry in entries.values())
        shown = " and ".join("x".join(map(str, shape)) for shape in shapes)
        say(f"images are read once and kept {where}: {count} of {shown}, {size}, {why}")
        for loader in parts.values():
            if loader.packing:
                side = loader.packing.side
                say(f"  random crops are taken of images squashed to {side}x{side}, not of the images themselves")
        if place == DISK:
            self.room.make(list(entries.values()), say)
        for name, entry in entries.items():
            loader = parts[name]
            images, *others = self._filler(loader, say, heed).tensors(entry, self.room.root if place == DISK else None)
            if self._fits_device(entry.size, loader.device):
                images = images.to(loader.device)
            beyond = place == DISK and images.device.type == "cpu" and entry.size > self.room.free_memory(False)
            before = others[0] if loader.packing else None
            dense = loader.dense
            targets = _labels(loader) if dense is None else like(dense, others)
            loader.source = Resident(images, targets, None, True, loader.device, before, beyond)
            loader.is_packed = before is not None

    def _entry(self, name: str, loader: Loader) -> Entry:
        seen = self.seen.depends_on
        if self.seen.crop != "pad":  # whose border has the mean's colour
            seen = {key: value for key, value in seen.items() if key not in ("mean", "std")}
        count, sides = len(loader.samples), self.seen.shape[1:]
        if loader.packing is not None:
            side = loader.packing.side
            sides = (side, side)
            kept = ("channels", "depth", "background", "jpeg_draft")
            seen = {"pack": side, **{key: seen[key] for key in kept if key in seen}}
        versions = [__version__, torch.__version__, torchvision.__version__, PIL.__version__]
        key = digest({"seen": seen, "data": list(self.depends_on), "part": [name, count], "versions": versions})
        about: store.About = {"model": None, "data": self.data, "part": name, "cut": [], "views": 1}
        shapes: list[tuple[int, ...]] = [(count, *sides, self.seen.channels)]
        if loader.packing is not None:
            return Entry(key, [*shapes, (count, 2)], [DTYPES[self.seen.depth], torch.int32], about)
        dense = tensors(loader.dense)
        shapes += [(count, *each.shape) for each in dense]
        return Entry(key, shapes, [DTYPES[self.seen.depth], *(each.dtype for each in dense)], about)

    def _filler(self, loader: Loader, say: Callable[[str], None], heed: Callable[[], None]) -> Filler:
        packing, source, dense = loader.packing, loader.source, loader.samples.part.targets is not None
        if packing is not None:
            source = Reader(Samples(loader.samples.part, packing, None), source.workers, loader.device)

        def values(plan: Plan) -> Iterator[tuple[Tensor, ...]]:
            for loaded in source.batches(plan):
                assert loaded is not None, "the plan has no empty batch"
                images = loaded[0].movedim(1, -1)
                others = (loaded[1],) if packing else tensors(loaded[1]) if dense else ()
                yield (images, *others)

        return Filler(
            count=len(loader.samples),
            batch_size=self.batch_size,
            values=values,
            what="the images",
            ways_out="choose data.cache_dir or data.resident=off",
            say=say,
            heed=heed,
        )

    def _fits_device(self, size: int, device: torch.device) -> bool:
        """Raises ConfigError where the device is asked for and has no room."""
        if self.mode == RAM or fits_device(size, device):
            return self.mode != RAM
        if self.mode == "device":
            raise ConfigError(
                f"data.resident=device: {in_bytes(size)} of images, over {DEVICE_SHARE:.0%} of what {device} has free"
            )
        return False


def _labels(loader: Loader) -> Tensor:
    return torch.from_numpy(loader.samples.part.labels)
