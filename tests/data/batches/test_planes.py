"""Images of many channels, or of 16 bits, from files to batches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from cnntrain.augment.batched.affine import RandomAffine
from cnntrain.augment.batched.choice import InTurn
from cnntrain.augment.batched.crops import ResizedCrop
from cnntrain.augment.batched.erasing import RandomErasing
from cnntrain.augment.batched.packed import PackedCrop
from cnntrain.augment.batched.shifts import ShiftFlip
from cnntrain.core.draws import Draws
from cnntrain.data.batches.loader import Loader
from cnntrain.data.batches.plan import WHOLE, eval_plan
from cnntrain.data.batches.preprocess import Preprocess
from cnntrain.data.batches.resident import Resident
from cnntrain.data.batches.samples import Packing, Samples, Varied
from cnntrain.data.batches.statistics import mean_and_deviation
from cnntrain.data.sets.dataset import Part

COLOURS = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (6, 5, 23, 31)).astype(np.uint8))
WIDE = torch.from_numpy(np.random.default_rng(1).integers(0, 65536, (6, 5, 23, 31)).astype(np.uint16))
BY_257 = (COLOURS.int() * 257).to(torch.uint16)
MEAN, STD = [0.1, 0.3, 0.5, 0.7, 0.9], [0.2, 0.3, 0.25, 0.1, 0.4]
SEEN = Preprocess(5, 12, "center", 0.8, "bilinear", MEAN, STD, "white")
CPU = torch.device("cpu")


def part(images: torch.Tensor) -> Part:
    return Part(images, np.arange(len(images)), [str(each) for each in range(len(images))])


def fitted(seen: Preprocess, image: torch.Tensor) -> torch.Tensor:
    found: torch.Tensor = seen.fit(image, 0)[0]
    return found


@pytest.mark.parametrize("crop", ["center", "pad", "squash"])
@pytest.mark.parametrize("how", ["bilinear", "bicubic", "nearest"])
def test_a_channel_is_resized_as_one_of_three_is(crop: str, how: str) -> None:
    many = replace(SEEN, crop=crop, interpolation=how)
    three = replace(many, channels=3, mean=MEAN[:3], std=STD[:3])
    assert torch.equal(fitted(many, COLOURS[0])[:3], fitted(three, COLOURS[0, :3].contiguous()))


@pytest.mark.parametrize("how", ["bilinear", "bicubic"])
def test_16_bits_are_resized_as_torch_resizes_them(how: str) -> None:
    seen = replace(SEEN, crop="squash", crop_fraction=1.0, interpolation=how, depth=16)
    expected = interpolate(WIDE[:1].double(), (12, 12), mode=how, antialias=True)[0].clamp(0, 65535)
    assert (fitted(seen, WIDE[0]).double() - expected).abs().max() <= 0.51


@pytest.mark.parametrize("crop", ["center", "pad", "squash"])
def test_16_bits_are_seen_as_8_are_but_finer(crop: str) -> None:
    eight, sixteen = (replace(SEEN, crop=crop, depth=depth) for depth in (8, 16))
    coarse, fine = fitted(eight, COLOURS[0]), fitted(sixteen, BY_257[0])
    assert fine.dtype == torch.uint16
    assert (fine.double() / 257 - coarse.double()).abs().max() <= 1.01  # PIL rounds 8 bits after each direction


def test_values_of_16_bits_are_normalised() -> None:
    seen = replace(SEEN, depth=16)
    expected = (WIDE.double().numpy() / 65535 - np.reshape(MEAN, (5, 1, 1))) / np.reshape(STD, (5, 1, 1))
    for layout in (torch.contiguous_format, torch.channels_last):
        found = seen(WIDE.contiguous(memory_format=layout), CPU, torch.float32)
        np.testing.assert_allclose(found.numpy(), expected, atol=2e-6)
    half = seen(WIDE, CPU, torch.float16)  # whose greatest number is 65504
    np.testing.assert_allclose(half.float().numpy(), expected, atol=5e-3)
    assert seen.undo(found).shape == (6, 3, 23, 31)
    np.testing.assert_allclose(seen.undo(found).numpy(), WIDE[:, :3].double() / 65535, atol=1e-6)


def test_statistics_of_each_channel() -> None:
    seen = replace(SEEN, depth=16, image_size=31, crop="squash", crop_fraction=1.0)
    square = WIDE[:, :, :, :23].repeat(1, 1, 2, 2)[:, :, :31, :31].contiguous()
    mean, std = mean_and_deviation(part(square), seen.fit)
    np.testing.assert_allclose(mean, square.double().div(65535).mean((0, 2, 3)), rtol=1e-9)
    np.testing.assert_allclose(std, square.double().div(65535).std((0, 2, 3), correction=0), rtol=1e-9)


@pytest.mark.parametrize("images", [COLOURS, WIDE], ids=["8", "16"])
def test_batches_from_memory_are_those_of_workers(images: torch.Tensor) -> None:
    seen = replace(SEEN, depth=8 if images.dtype == torch.uint8 else 16)
    steps = InTurn([RandomAffine(10, 0.1, 0.1), ShiftFlip(2, 0.5), RandomErasing(0.9, MEAN, seen.white)])
    plan = eval_plan(6, 4, WHOLE)
    read, held, forked = (Loader(Samples(part(images), seen.fit, None), workers, seen, CPU, torch.float32,
                                 varied=Varied(3, steps)) for workers in (0, 0, 1))  # fmt: skip
    kept = torch.stack([fitted(seen, each) for each in images]).permute(0, 2, 3, 1).contiguous()
    held.source = Resident(kept, torch.arange(6), None, True, CPU)
    for one, *others in zip(*(each.batches(plan) for each in (read, held, forked)), strict=True):
        for other in others:
            assert torch.equal(one.inputs, other.inputs) and torch.equal(one.targets, other.targets)


@pytest.mark.parametrize(
    "transform",
    [ShiftFlip(2, 0.5), RandomAffine(20, 0.1, 0.2), RandomErasing(1.0, MEAN, 65535)],
    ids=["shift", "affine", "erasing"],
)
def test_16_bits_are_augmented_as_8_are(transform: object) -> None:
    square, draws = COLOURS[..., :23], Draws(0, 0, torch.arange(6))
    eight = RandomErasing(1.0, MEAN) if isinstance(transform, RandomErasing) else transform
    coarse, _ = eight(square.contiguous(), torch.arange(6), draws)  # type: ignore[operator]
    fine, _ = transform((square.int() * 257).contiguous(), torch.arange(6), draws)  # type: ignore[operator]
    assert fine.dtype == torch.int32 and int(fine.max()) <= 65535
    assert (fine.double() / 257 - coarse.double()).abs().max() <= 0.51
    assert (fine % 257 != 0).any() or isinstance(transform, ShiftFlip)


def test_random_crops_of_16_bits_are_those_of_8() -> None:
    crop = ResizedCrop(12, 0.3, "bilinear")
    for place, (coarse, fine) in enumerate(zip(COLOURS, BY_257, strict=True)):
        draws = Draws(0, 0, torch.tensor([place]))
        eight, sixteen = (crop(each, 0, draws)[0] for each in (coarse, fine))
        assert sixteen.dtype == torch.uint16 and (sixteen.double() / 257 - eight.double()).abs().max() <= 1.01


def test_packed_crops_of_16_bits_are_those_of_8() -> None:
    draws, packed = Draws(0, 0, torch.arange(6)), PackedCrop(8, 0.3, "bicubic")
    packing = Packing(16, packed)
    coarse, fine = (torch.stack([packing(each, 0)[0] for each in images]) for images in (COLOURS, BY_257))
    sizes = torch.tensor([[23, 31]] * 6, dtype=torch.int32)
    assert coarse.dtype == torch.uint8 and fine.dtype == torch.uint16
    found = packed(fine.int(), sizes, draws).double() / 257 - packed(coarse, sizes, draws).double()
    assert found.abs().max() <= 3  # bicubic weights, below zero too, of pixels that were rounded to 8 bits
