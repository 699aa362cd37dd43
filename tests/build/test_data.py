"""From keys to what loaders do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from cnntrain.core.errors import ConfigError

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
