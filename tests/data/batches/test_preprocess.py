"""What an evaluation sees of an image: to the bit what timm's own transforms give, and masks go along."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import pytest
import torch
from PIL import Image
from timm.data import create_transform
from torch.nn.functional import max_pool2d
from torchvision import tv_tensors
from torchvision.transforms import v2

from cnntrain.core.targets import IGNORE
from cnntrain.data.base import Crop
from cnntrain.data.batches.preprocess import Preprocess

MODES = {"center": "center", "pad": "border", "squash": "squash"}  # ours to timm's
SIZE = 32
SHAPES = [
    (60, 97), (41, 200),  # landscape
    (101, 40), (300, 33),  # portrait
    (3, 5), (7, 4), (1, 1), (20, 31),  # smaller than the size
    (64, 64), (77, 77),
    (32, 32), (32, 50), (33, 32), (48, 48), (36, 36),  # of the size, or of that before the crop
]  # fmt: skip
BY_CHANNELS = {1: ([0.3], [0.25]), 3: ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])}
crops = pytest.mark.parametrize("crop", MODES)


def preprocess(
    channels: int = 3, crop: Crop = "center", fraction: float = 1.0, how: str = "bilinear", size: int = SIZE
) -> Preprocess:
    return Preprocess(channels, size, crop, fraction, how, *BY_CHANNELS[channels], "white")


def image(height: int, width: int, channels: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1000 * height + width)
    return torch.randint(0, 256, (channels, height, width), dtype=torch.uint8, generator=generator)


def timms(seen: Preprocess, original: torch.Tensor) -> torch.Tensor:
    """What timm makes of the same image, opened by PIL."""
    transform = create_transform(
        seen.image_size,
        is_training=False,
        interpolation=seen.interpolation,
        crop_pct=seen.crop_fraction,
        crop_mode=MODES[seen.crop],
        mean=tuple(seen.mean),
        std=tuple(seen.std),
        normalize=False,
    )
    rows = original[0] if len(original) == 1 else original.permute(1, 2, 0)
    return transform(Image.fromarray(rows.contiguous().numpy()))


@pytest.mark.parametrize("size", [SIZE, 27])
@pytest.mark.parametrize("fraction", [1.0, 0.95, 0.875, 0.66])
@pytest.mark.parametrize("how", ["bilinear", "bicubic"])
@crops
def test_the_pixels_are_timms(crop: Crop, how: str, fraction: float, size: int) -> None:
    for channels in BY_CHANNELS:
        seen = preprocess(channels, crop, fraction, how, size)
        for shape in SHAPES:
            original = image(*shape, channels)
            found, label = seen.fit(original.clone(), 5)
            expected = timms(seen, original)
            assert (found.dtype, found.shape, label) == (torch.uint8, (channels, size, size), 5)
            assert torch.equal(found, expected), (channels, shape)


@pytest.mark.parametrize("how", ["nearest", "box", "hamming", "lanczos"])
@crops
def test_so_are_those_of_rarer_interpolations(crop: Crop, how: str) -> None:
    for shape in SHAPES:
        seen = preprocess(3, crop, 0.875, how)
        assert torch.equal(seen.fit(image(*shape), 0)[0], timms(seen, image(*shape))), shape


@pytest.mark.parametrize("channels", BY_CHANNELS)
@pytest.mark.parametrize("fraction", [1.0, 0.66])
@crops
def test_a_mask_goes_along(crop: Crop, fraction: float, channels: int) -> None:
    """A black and white image is its own mask: away from edges, which may lie half a pixel apart, both are the same."""
    seen = replace(preprocess(channels, crop, fraction, "nearest"), mean=[0.0] * channels)
    for height, width in SHAPES:
        marked = torch.zeros(height, width, dtype=torch.uint8)
        marked[height // 3 :, : (width + 1) // 2] = 1
        pixels = (255 * marked).expand(channels, -1, -1).contiguous()
        found, mask = seen.fit(pixels, tv_tensors.Mask(marked))
        assert isinstance(mask, tv_tensors.Mask) and mask.dtype == torch.uint8
        assert mask.shape == (SIZE, SIZE)
        white = (found[:1] / 255).double()
        most, least = max_pool2d(white, 3, 1, 1)[0], -max_pool2d(-white, 3, 1, 1)[0]
        inside = most == least
        values = mask.as_subclass(torch.Tensor)
        assert crop == "pad" or not (values == IGNORE).any()
        assert torch.equal(values.where(values != IGNORE, 0)[inside].double(), most[inside]), (height, width)
        assert inside.double().mean() > 0.7


@crops
def test_a_masks_values_are_never_mixed(crop: Crop) -> None:
    seen = preprocess(3, crop, 0.875, "bicubic")
    mask = tv_tensors.Mask(7 * torch.randint(0, 2, (60, 97), dtype=torch.uint8))
    assert set(seen.fit(image(60, 97), mask)[1].unique().tolist()) == ({0, 7, IGNORE} if crop == "pad" else {0, 7})


@crops
def test_an_image_of_the_size_is_seen_as_it_is_at_no_cost(crop: Crop) -> None:
    original, mask = image(SIZE, SIZE), tv_tensors.Mask(torch.ones(SIZE, SIZE))
    found, target = preprocess(crop=crop).fit(original, mask)
    assert found is original and target is mask
    assert preprocess(crop=crop, fraction=0.9).fit(original, mask)[0] is not original


def test_a_crop_fraction_of_seven_eighths_leaves_an_eighth_out() -> None:
    original = image(256, 300)
    seen = preprocess(fraction=0.875, size=224)
    assert torch.equal(seen.fit(original, 0)[0], original[:, 16:240, 38:262])


def test_a_border_is_of_the_means_colour_around_the_whole_image() -> None:
    found, _ = preprocess(crop="pad").fit(image(SIZE // 2, SIZE), 0)
    assert torch.equal(found[:, 8:24], image(SIZE // 2, SIZE))
    for rows in (found[:, :8], found[:, 24:]):
        assert rows.flatten(1).unique(dim=1).flatten().tolist() == [round(255 * each) for each in BY_CHANNELS[3][0]]


@pytest.mark.parametrize("shape", [(1, 90), (90, 1)])
@crops
def test_an_image_of_one_line_is_an_image(crop: Crop, shape: tuple[int, int]) -> None:
    assert preprocess(crop=crop).fit(image(*shape), 0)[0].shape == (3, SIZE, SIZE)


@crops
def test_the_original_stays_and_the_result_is_always_the_same(crop: Crop) -> None:
    original, fit = image(40, 50), preprocess(crop=crop, fraction=0.9).fit
    kept = original.clone()
    found = fit(original, 0)[0]
    assert torch.equal(original, kept)
    assert torch.equal(fit(original, 0)[0], found)
    there: Any = pickle.loads(pickle.dumps(fit))  # to a worker process
    assert torch.equal(there(original, 0)[0], found)


@pytest.mark.no_cover
def test_of_a_very_long_image_only_the_middle_is_resized(monkeypatch: pytest.MonkeyPatch) -> None:
    largest = 0
    resize = Image.Image.resize

    def measured(self: Image.Image, size: tuple[int, int], *args: Any, **kwargs: Any) -> Image.Image:
        nonlocal largest
        largest = max(largest, size[0] * size[1])
        return resize(self, size, *args, **kwargs)

    for shape in ((1, 400), (400, 1), (3, 301), (301, 3), (250, 2), (2, 33), (9, 2000), (1999, 8),
                  (2000, 40), (2000, 36), (40, 2000)):  # fmt: skip
        for how, fraction, size in (
            ("bilinear", 1.0, 32),
            ("bicubic", 0.875, 27),
            ("nearest", 0.9, 24),
            ("bilinear", 1.0, 31),
        ):
            seen = preprocess(3, "center", fraction, how, size)
            assert torch.equal(seen.fit(image(*shape), 0)[0], timms(seen, image(*shape))), (shape, how)
    seen = preprocess(3, "center", 0.875, "bilinear", 24)
    for shape in ((1, 900), (900, 1)):
        mask = tv_tensors.Mask(torch.arange(900).view(1, *shape))
        assert torch.equal(seen.fit(image(*shape), mask)[1], v2.CenterCrop(24)(v2.Resize([27])(mask)))
    monkeypatch.setattr(Image.Image, "resize", measured)
    seen = preprocess(3, "center", 1.0, "bilinear", 224)
    for shape in ((1, 4000), (4000, 1), (3, 4001), (4001, 3)):
        assert seen.fit(image(*shape), 0)[0].shape == (3, 224, 224)
    assert largest <= 2**21  # of 200 million, 1.4 GiB with their copies


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_a_batch_is_normalised_and_itself_left_as_it_is(dtype: torch.dtype, layout: torch.memory_format) -> None:
    seen = preprocess()
    images = torch.stack([image(SIZE, SIZE + number)[:, :, :SIZE] for number in range(3)])
    given = images.to(dtype).contiguous(memory_format=layout)
    mean, std = (torch.tensor(each).view(-1, 1, 1) for each in BY_CHANNELS[3])
    for _ in range(2):
        found = seen(given, torch.device("cpu"), torch.float32)
        torch.testing.assert_close(found, (images / 255 - mean) / std, rtol=1e-5, atol=1e-5)
        assert found.is_contiguous(memory_format=layout)
    assert torch.equal(given, images.to(dtype))
