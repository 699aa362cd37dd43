"""From keys to what loaders do."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from cnntrain.build.data import load_data, load_labelled
from cnntrain.commands.train import Train
from cnntrain.config.check import check, plain
from cnntrain.config.compose import compose_config
from cnntrain.core import dist
from cnntrain.core.errors import ConfigError
from cnntrain.data.imagefolder import ImageFolder

CROPS = ("augment=imagenet", "data.image_size=28")


@pytest.mark.parametrize(
    ("keys", "side"),
    [
        ([], None),
        (["data.resident=off"], None),
        (["data.pack_size=20"], 20),
        (["data.pack_size=20", "data.resident=ram"], 20),
        (["data.resident=ram", "augment=affine"], None),
    ],
)
def test_crops_are_of_packed_images_where_the_keys_say_so(
    make_run: Callable[..., Any], keys: list[str], side: int | None
) -> None:
    packing = make_run(*CROPS, *keys).run.loaders.train.packing
    assert (packing.side if packing is not None else None) == side


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            ["data.pack_size=null", "data.resident=ram"],
            r"augment=imagenet crops the .* own size.* data\.pack_size=32 crops",
        ),
        (["data.resident=off"], r"pack_size=20 is of images in memory, and resident=off keeps none there"),
        (["augment=affine"], r"data\.pack_size=20 is for random resized crops, augment=imagenet, .* augment=affine"),
        (
            ["data.interpolation=nearest"],
            r"data\.pack_size=20 is for .* out with augment=imagenet and nearest",
        ),
    ],
)
def test_packing_that_cannot_be_is_refused(make_run: Callable[..., Any], keys: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_run(*CROPS, "data.pack_size=20", *keys)


@pytest.mark.parametrize("keys", [["augment.erasing=0.25"], ["augment.mixup=0.2", "augment.cutmix=1"]])
def test_what_is_added_to_no_augmentation_is_done_in_training_alone(make_run: Callable[..., Any], keys: Any) -> None:
    loaders = make_run("augment=none", *keys).run.loaders
    plain = make_run("augment=none").run.loaders
    epochs = [next(iter(loaders.train.batches(loaders.train_plan(epoch)))) for epoch in (0, 1)]
    batch = next(iter(plain.train.batches(plain.train_plan(0))))
    assert not torch.equal(epochs[0].inputs, batch.inputs)
    assert epochs[0].targets.is_floating_point() == keys[0].startswith("augment.mixup")
    for part in ("val", "test"):
        for one, other in zip(loaders.eval_batches(part), plain.eval_batches(part), strict=True):
            assert torch.equal(one.inputs, other.inputs) and torch.equal(one.targets, other.targets)


class Rank:
    """A rank of several, and what the first one sends."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, first: bool, machines: int, sent: bytes = b""):
        self.sent, self.turns = sent, 0
        monkeypatch.setattr(dist, "world_size", lambda: 2)
        monkeypatch.setattr(dist, "local_world_size", lambda: 2 // machines)
        monkeypatch.setattr(dist, "from_first", self._made if first else lambda make: pickle.loads(self.sent))
        monkeypatch.setattr(dist, "first_rank_first", self._turn)

    def _made(self, make: Callable[[], Any]) -> Any:
        made = make()
        self.sent = pickle.dumps(made)
        return made

    @contextmanager
    def _turn(self) -> Iterator[None]:
        self.turns += 1
        yield


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in "ab":
        (tmp_path / name).mkdir()
        for number in range(5):
            Image.new("RGB", (3, 2), (number, 0, 0)).save(tmp_path / name / f"{number}.png")
    return tmp_path


def test_files_are_listed_by_one_rank_of_a_machine(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["model=lenet5", "augment=none", "data=imagefolder", f"data.root={folder}"]
    source = check(plain(compose_config("train", words)), Train).data
    alone = load_data(source)
    with monkeypatch.context() as patch:
        first = Rank(patch, True, 1)
        assert load_data(source).fingerprint == alone.fingerprint and first.sent
    calls: list[Any] = []
    monkeypatch.setattr(ImageFolder, "load", lambda self: calls.append(self) or alone)
    with monkeypatch.context() as patch:
        Rank(patch, False, 1, first.sent)
        found = load_data(source)
    assert not calls and (found.fingerprint, found.modified) == (alone.fingerprint, alone.modified)
    for name, part in alone.parts().items():
        same = found.parts()[name]
        assert same.ids == part.ids and (same.labels == part.labels).all()
        assert torch.equal(same.images[0], part.images[0])
    with monkeypatch.context() as patch:  # each machine may have a copy of its own
        other = Rank(patch, False, 2)
        assert load_data(source).fingerprint == alone.fingerprint and len(calls) == 1 and other.turns == 1


def test_images_in_memory_are_loaded_by_each_rank(
    configure: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = configure().data
    with monkeypatch.context() as patch:
        first = Rank(patch, True, 1)
        found = load_data(source)
        assert pickle.loads(first.sent) is None
    with monkeypatch.context() as patch:
        Rank(patch, False, 1, first.sent)
        assert load_data(source).fingerprint == found.fingerprint
        again = load_labelled(source, "val")
    assert again.fingerprint == source.labelled("val").fingerprint
