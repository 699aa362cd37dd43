"""Images that are kept in memory are those that would be read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from augments import OFF

from cnntrain.augment.flip_crop import FlipCrop
from cnntrain.augment.imagenet import ImageNet
from cnntrain.core import mapped, store
from cnntrain.core.errors import ConfigError, StopError
from cnntrain.data.batches import holding
from cnntrain.data.batches.holding import Holder
from cnntrain.data.batches.loader import Loader
from cnntrain.data.batches.plan import WHOLE, eval_plan
from cnntrain.data.batches.preprocess import Preprocess
from cnntrain.data.batches.reader import Reader
from cnntrain.data.batches.resident import Resident
from cnntrain.data.batches.room import Room
from cnntrain.data.batches.samples import Packing, Samples, Varied
from cnntrain.data.sets.arrays import ArrayImages
from cnntrain.data.sets.dataset import Part
from cnntrain.data.sets.subset import SomeImages

CPU = torch.device("cpu")
SEEN = Preprocess(3, 8, "center", 1.0, "bilinear", [0.4] * 3, [0.2] * 3, "white")
PIXELS = np.random.default_rng(0).integers(0, 256, (20, 3, 8, 8), dtype=np.uint8)


class Files:
    """Images of another size, counted as they are read."""

    def __init__(self) -> None:
        self.read = 0

    def __len__(self) -> int:
        return 20

    def __getitem__(self, index: int) -> torch.Tensor:
        self.read += 1
        return torch.from_numpy(PIXELS[index]).repeat_interleave(2, dim=1)


def loader(images: Any, count: int = 20, memory_format: Any = torch.channels_last) -> Loader:
    samples = Samples(Part(images, np.arange(count), [str(each) for each in range(count)]), SEEN.fit, None)
    shift = FlipCrop("", "auto", 2, 0.5, "constant", False, **OFF).batch_transform(SEEN)
    return Loader(samples, 0, SEEN, CPU, torch.float32, memory_format, Varied(3, shift))


def seen(source: Loader) -> torch.Tensor:
    return torch.cat([batch.inputs for batch in source.batches(eval_plan(len(source.samples), 6, WHOLE, epoch=4))])


@pytest.fixture
def holder(tmp_path: Path) -> Callable[..., Holder]:
    def make(mode: str = "auto", budget: str = "1MB", memory: int = 10**9, depends_on: str = "a") -> Holder:
        room = Room(tmp_path, "data.cache_dir", "data.resident_budget", budget, free_memory=lambda shared: memory)
        return Holder(mode, room, SEEN, "photos", [depends_on], 7)

    return make


def hold(holder: Holder, source: Loader, passes: int = 2, heed: Callable[[], None] = lambda: None) -> list[str]:
    said: list[str] = []
    holder.hold({"train": source}, passes, said.append, heed)
    return said


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(
    "images",
    [
        ArrayImages(PIXELS, 3),
        ArrayImages(PIXELS[:, :1], 3),
        SomeImages(ArrayImages(PIXELS, 3), np.arange(19, -1, -1)),
    ],
    ids=["colour", "grey", "some"],
)
def test_images_that_are_in_memory_are_taken_from_there(
    holder: Callable[..., Holder], tmp_path: Path, images: Any, memory_format: Any
) -> None:
    source = loader(images, memory_format=memory_format)
    expected = seen(source)
    assert hold(holder(), source, passes=1) == []
    assert isinstance(source.source, Resident) and torch.equal(seen(source), expected)
    assert source.source.workers == 0
    assert seen(source).is_contiguous(memory_format=memory_format)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("mode", ["auto", "ram"])
def test_files_are_read_once_and_by_the_next_run_not_at_all(
    holder: Callable[..., Holder], tmp_path: Path, mode: str, memory_format: Any
) -> None:
    files = Files()
    source = loader(files, memory_format=memory_format)
    expected, before = seen(source), files.read
    (said,) = hold(holder(mode), source)
    where = "in memory" if mode == "ram" else "on disk"
    assert said.startswith(f"images are read once and kept {where}: train 20 of 3x8x8, 3.8 KiB, of ")
    assert torch.equal(seen(source), expected) and torch.equal(seen(source), expected)
    assert files.read == before + 20
    assert len(list(store.entries(tmp_path))) == (0 if mode == "ram" else 1)
    again = loader(other := Files())
    (said,) = hold(holder(mode), again)
    assert other.read == (20 if mode == "ram" else 4), "a few are read to compare"
    assert torch.equal(seen(again), expected)
    hold(holder(mode), again)
    assert other.read == (20 if mode == "ram" else 4)


@pytest.mark.parametrize("memory", [20 * 3 * 8 * 8 - 1, 20 * 3 * 8 * 8])
def test_what_is_larger_than_the_memory_is_announced_a_batch_ahead(
    holder: Callable[..., Holder], monkeypatch: pytest.MonkeyPatch, memory: int
) -> None:
    source, told = loader(Files()), list[tuple[str, Any]]()
    expected = seen(source)
    monkeypatch.setattr(mapped, "read_apart", lambda images: told.append(("apart", tuple(images.shape))))
    monkeypatch.setattr(mapped, "announce", lambda images, rows: told.append(("ahead", rows.tolist())))
    for found in (source, loader(Files())):  # filled, and found
        hold(holder(memory=memory), found)
        assert isinstance(found.source, Resident)
        batches = found.source.batches(eval_plan(20, 8, WHOLE))
        for _ in range(2):
            next(batches)
            told.append(("used", None))
        assert len(list(batches)) == 1
        one = ("apart", (20, 8, 8, 3)), ("ahead", [*range(8)]), ("ahead", [*range(8, 16)])
        ahead = [*one, ("used", None), ("ahead", [16, 17, 18, 19]), ("used", None)]
        assert told == (ahead if memory < 20 * 3 * 8 * 8 else [("used", None)] * 2)
        assert torch.equal(seen(found), expected)
        told.clear()


def test_images_of_other_files_or_seen_otherwise_are_read_anew(holder: Callable[..., Holder]) -> None:
    hold(holder(), loader(Files()))
    for other in (holder(depends_on="b"), replace(holder(), seen=replace(SEEN, crop="squash"))):
        files = Files()
        hold(other, loader(files))
        assert files.read == 20
    files = Files()
    hold(replace(holder(), seen=replace(SEEN, mean=[0.1] * 3)), loader(files))
    assert files.read == 4, "the normalisation comes later"


def test_what_does_not_fit_or_is_read_once_is_read_by_workers(holder: Callable[..., Holder], tmp_path: Path) -> None:
    source = loader(Files())
    assert hold(holder(), source, passes=1) == []
    (said,) = hold(holder(budget="3KB"), source)
    assert said == (
        "images are read anew in each epoch, not kept in memory: they take 3.8 KiB, more than data.resident_budget=3KB"
    )
    assert hold(holder("off"), source) == []
    assert isinstance(source.source, Reader) and not list(tmp_path.iterdir())
    with pytest.raises(ConfigError, match=r"data\.resident=ram: the images take 3\.8 KiB, too much for .* of free ram"):
        hold(holder("ram", memory=7000), source)
    crops = ImageNet("", "auto", 0.1, 0.5, **OFF).drawn_transform(SEEN)
    anew = Loader(Samples(source.samples.part, crops, 3), 0, SEEN, CPU, torch.float32, varied=Varied(3))
    hold(holder(), anew)
    assert isinstance(anew.source, Reader)


def test_a_gpus_memory_is_not_there_on_a_cpu(holder: Callable[..., Holder]) -> None:
    for source in (loader(Files()), loader(ArrayImages(PIXELS, 3))):
        with pytest.raises(ConfigError, match=r"data\.resident=device: this run is on a CPU"):
            hold(holder("device"), source)


META = torch.device("meta")  # stands for a GPU


@pytest.mark.parametrize(("mode", "there"), [("auto", True), ("device", True), ("ram", False)])
@pytest.mark.parametrize("images", [Files(), ArrayImages(PIXELS, 3)], ids=["files", "array"])
def test_they_go_into_a_gpus_memory_where_they_fit(
    holder: Callable[..., Holder], images: Any, mode: str, there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(holding, "fits_device", lambda size, device: asked.append(size) or device is META)
    source = loader(images)
    source.device = META
    hold(holder(mode), source)
    assert isinstance(source.source, Resident) and source.source.images.is_meta == there
    assert asked == ([20 * 3 * 8 * 8] if mode != "ram" else [])
    source = loader(images)
    hold(holder("auto"), source)
    assert isinstance(source.source, Resident) and source.source.images.device == CPU


def test_a_gpus_memory_that_is_asked_for_must_have_room(
    holder: Callable[..., Holder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holding, "fits_device", lambda size, device: False)
    source = loader(Files())
    source.device = META
    with pytest.raises(ConfigError, match=r"data\.resident=device: 3\.8 KiB of images, over 50% of what meta has free"):
        hold(holder("device"), source)
    hold(holder("auto"), source)
    assert isinstance(source.source, Resident) and source.source.images.device == CPU


def test_what_other_runs_have_left_makes_room_on_disk_alone(holder: Callable[..., Holder], tmp_path: Path) -> None:
    hold(holder(), loader(Files()))
    assert len(hold(holder("ram", budget="5KB", depends_on="b"), loader(Files()))) == 1
    assert len(list(store.entries(tmp_path))) == 1
    said = hold(holder(budget="5KB", depends_on="b"), loader(Files()))
    assert said[1].startswith("  deleted 1 entries that were not used for longest, 3.8 KiB: data.resident_budget=5KB")
    assert len(list(store.entries(tmp_path))) == 1


def test_each_part_is_told_and_kept_for_itself(holder: Callable[..., Holder], tmp_path: Path) -> None:
    said: list[str] = []
    parts = {"train": loader(Files()), "val": loader(Files(), count=5)}
    holder().hold(parts, 2, said.append, lambda: None)
    assert said[0].startswith("images are read once and kept on disk: train 20 and val 5 of 3x8x8, 4.7 KiB, of ")
    for folder, meta in store.entries(tmp_path):
        count = {"train": 20, "val": 5}[meta["about"]["part"]]
        assert meta["bytes"] == count * 3 * 8 * 8 and len(list(folder.glob("*.bin"))) == 1
        assert meta["about"] == {
            "model": None, "data": "photos", "part": meta["about"]["part"], "cut": [], "views": 1,
        }  # fmt: skip
    assert len(list(store.entries(tmp_path))) == 2 and not parts["train"].is_packed
    held = [each.source for each in parts.values()]
    holder().hold(parts, 2, said.append, lambda: None)
    assert [each.source for each in parts.values()] == held and len(said) == 1  # they are in memory


def test_with_a_border_the_means_colour_counts_too(holder: Callable[..., Holder]) -> None:
    padded = replace(SEEN, crop="pad")
    for seen, read in ((padded, 20), (padded, 4), (replace(padded, mean=[0.1] * 3), 20)):
        files = Files()
        hold(replace(holder(), seen=seen), loader(files))
        assert files.read == read


def test_an_array_of_another_size_is_read_and_kept(holder: Callable[..., Holder]) -> None:
    tall = np.ascontiguousarray(PIXELS.repeat(2, axis=2))
    for name, images in {"tall": ArrayImages(tall, 3), "square": ArrayImages(PIXELS, 3)}.items():
        source = loader(images)
        said = hold(replace(holder(depends_on=name), seen=replace(SEEN, crop_fraction=0.5)), source)
        assert len(said) == 1 and isinstance(source.source, Resident) and source.source.channels_last


def test_a_signal_while_they_are_read_leaves_nothing(holder: Callable[..., Holder], tmp_path: Path) -> None:
    def heed() -> None:
        raise StopError

    with pytest.raises(StopError):
        hold(holder(), loader(Files()), heed=heed)
    assert not list(tmp_path.iterdir())


# images of which each epoch sees other crops


def cropping(images: Any, side: int = 8, workers: int = 0, **more: Any) -> Loader:
    augment = ImageNet("", "auto", 0.1, 0.5, **OFF | more)
    samples = Samples(Part(images, np.arange(20), [*"abcdefghijklmnopqrst"]), augment.drawn_transform(SEEN), 3)
    packing = Packing(side, augment.packed_transform(SEEN))
    steps, mixing = augment.whole_transform(SEEN), augment.mixing(20)
    return Loader(samples, workers, SEEN, CPU, torch.float32, varied=Varied(3, steps, mixing, packing))


@pytest.mark.parametrize("more", [{}, {"mixup": 0.3, "cutmix": 1.0, "greyscale": 0.2}])
def test_crops_of_packed_images_are_those_of_the_images(holder: Callable[..., Holder], more: Any) -> None:
    """Which are of the packed size here."""
    source = cropping(ArrayImages(PIXELS, 3), **more)
    expected = seen(source)
    said = hold(holder(), source, passes=1)
    assert said[0].startswith("images are read once and kept on disk: train 20 of 3x8x8")
    assert said[1] == "  random crops are taken of images squashed to 8x8, not of the images themselves"
    assert source.is_packed and isinstance(source.source, Resident)
    levels = (seen(source) - expected).abs() * 255 * SEEN.std[0]
    assert levels.max() < 2.1 and levels.mean() < 0.3
    assert torch.equal(source.first(4), source.first(9)[:4])
    by_workers = cropping(ArrayImages(PIXELS, 3), workers=2, **more)
    hold(holder("ram"), by_workers)
    assert torch.equal(seen(by_workers), seen(source))


def test_packed_images_keep_their_sizes_and_are_found_by_the_next_run(holder: Callable[..., Holder]) -> None:
    source = cropping(files := Files(), side=12)
    hold(holder(), source)
    assert files.read == 20 and isinstance(source.source, Resident)
    assert source.source.images.shape == (20, 12, 12, 3)
    assert source.source.sizes.tolist() == [[16, 8]] * 20
    hold(holder(), again := cropping(files, side=12))
    assert files.read == 24 and torch.equal(seen(again), seen(source))
    hold(holder(), cropping(files, side=10))
    assert files.read == 44, "of another size they are others"


def test_packed_images_that_do_not_fit_are_an_error(holder: Callable[..., Holder]) -> None:
    with pytest.raises(ConfigError, match=r"data\.pack_size=8: the images take 3\.9 KiB, more than data\.resident_bud"):
        hold(holder(budget="3KB"), cropping(Files()))
