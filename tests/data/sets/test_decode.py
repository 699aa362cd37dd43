from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnntrain.core.errors import InputError
from cnntrain.data.base import Reading
from cnntrain.data.sets.decode import decode
from cnntrain.data.sets.given import given
from cnntrain.data.sets.pictures import TURNS

RAMP = np.linspace(0, 65535, 48).reshape(6, 8)


def pixels(path: Path, channels: int = 1, background: Any = "white") -> np.ndarray:
    image = decode(str(path), Reading(channels, background))
    assert image.shape[0] == channels
    assert image.is_contiguous()
    return image.numpy()


@pytest.mark.parametrize(
    ("name", "mode"),
    [("a.png", "I;16"), ("a.tif", "I;16"), ("a.tif", "I;16B"), ("a.pgm", "I;16"), ("a.tif", "I")],
)
def test_16_bits_are_scaled_not_clipped(tmp_path: Path, name: str, mode: str) -> None:
    kind = {"I": "<i4", "I;16": "<u2", "I;16B": ">u2"}[mode]
    Image.frombytes(mode, (8, 6), RAMP.astype(kind).tobytes()).save(tmp_path / name)
    for channels in (1, 3):
        assert np.abs(pixels(tmp_path / name, channels) - RAMP / 257).max() <= 1


def test_a_dark_16_bit_png_stays_dark(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 200, dtype=np.uint16)).save(tmp_path / "a.png")
    assert pixels(tmp_path / "a.png").max() == 1


def test_32_bit_integers_within_8_bits_are_kept(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 200, dtype=np.int32)).save(tmp_path / "a.tif")
    assert (pixels(tmp_path / "a.tif") == 200).all()


@pytest.mark.parametrize("values", [np.full((4, 4), 70000, np.int32), np.full((4, 4), 0.5, np.float32)])
def test_pixels_without_a_range_are_refused(tmp_path: Path, values: np.ndarray) -> None:
    Image.fromarray(values).save(tmp_path / "a.tif")
    with pytest.raises(InputError, match=r"a\.tif: cannot be read as an image \(.*8 or 16 bits\)"):
        decode(str(tmp_path / "a.tif"), Reading(3, "white"))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_followed(tmp_path: Path, orientation: int) -> None:
    upright = np.zeros((16, 32), dtype=np.uint8)
    upright[:8, :16] = 255  # the upper left quarter
    undone = {1: (0, 0), 2: (0, 1), 3: (2, 0), 4: (2, 1), 5: (3, 1), 6: (1, 0), 7: (1, 1), 8: (3, 0)}[orientation]
    stored = np.rot90(upright, undone[0])
    stored = stored[:, ::-1] if undone[1] else stored
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "a.jpg", quality=100, exif=exif)
    np.testing.assert_allclose(pixels(tmp_path / "a.jpg")[0], upright, atol=3)


def test_orientation_counts_where_other_metadata_is_damaged(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "hello world"
    Image.new("L", (8, 4)).save(tmp_path / "a.jpg", exif=exif)
    content = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(content.replace(b"\x01\x0e\x00\x02", b"\x01\x07\x00\x02"))  # text for a number
    assert pixels(tmp_path / "a.jpg").shape == (1, 8, 4)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
def test_unreadable_exif_beside_good_pixels_is_ignored(tmp_path: Path, name: str) -> None:
    Image.new("L", (8, 6), 7).save(tmp_path / name, exif=b"Exif\0\0nonsense")
    assert pixels(tmp_path / name, 3).shape == (3, 6, 8)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV"])
@pytest.mark.parametrize("channels", [1, 3])
def test_modes_become_grey_or_colour(tmp_path: Path, mode: str, channels: int) -> None:
    name = {"CMYK": "a.jpg", "YCbCr": "a.jpg"}.get(mode, "a.png")
    image = Image.new("RGB", (8, 6), (255, 255, 255)).convert(mode)
    (image if mode != "HSV" else image.convert("RGB")).save(tmp_path / name)
    assert pixels(tmp_path / name, channels).shape == (channels, 6, 8)
    assert pixels(tmp_path / name, channels).min() >= 250


@pytest.mark.parametrize("orientation", range(2, 9))
def test_an_uncompressed_tiff_is_turned_as_its_file_says(tmp_path: Path, orientation: int) -> None:
    """PIL maps such a file, with height and width exchanged."""
    stored = np.random.default_rng(0).integers(0, 256, (28, 40, 4), dtype=np.uint8)
    stored[..., 3] = 255
    for mode in ("L", "P", "I;16", "CMYK", "RGBA"):
        image = Image.fromarray(stored, "RGBA").convert("RGB" if mode == "P" else mode if mode != "I;16" else "L")
        if mode == "P":
            image = image.quantize(200)
        if mode == "I;16":
            image = Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
        image.save(tmp_path / "upright.png" if mode != "CMYK" else tmp_path / "upright.tif")
        image.save(tmp_path / "x.tif", tiffinfo={274: orientation})
        upright = pixels(tmp_path / ("upright.tif" if mode == "CMYK" else "upright.png"), 3)
        expected = np.asarray(Image.fromarray(upright.transpose(1, 2, 0)).transpose(TURNS[orientation]))
        np.testing.assert_array_equal(pixels(tmp_path / "x.tif", 3), expected.transpose(2, 0, 1))
        with Image.open(tmp_path / "x.tif") as opened:  # from Python, not read yet
            np.testing.assert_array_equal(given(opened, Reading(3, "white")), expected.transpose(2, 0, 1))


@pytest.mark.parametrize(("background", "colour"), [("white", 255), ("black", 0), ([10, 20, 30], [10, 20, 30])])
def test_what_is_transparent_is_laid_on_the_background(tmp_path: Path, background: Any, colour: Any) -> None:
    rng = np.random.default_rng(0)
    hidden, alpha = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8), rng.integers(0, 256, (6, 8, 1), dtype=np.uint8)
    expected = (hidden * (alpha / 255) + colour * (1 - alpha / 255)).transpose(2, 0, 1)
    file = tmp_path / "a.png"
    Image.fromarray(np.concatenate([hidden, alpha], 2)).save(file)
    assert np.abs(pixels(file, 3, background) - expected).max() <= 1
    grey = Image.fromarray(hidden[..., 0])
    grey.putalpha(Image.fromarray(alpha[..., 0]))
    grey.save(file)
    expected = hidden[None, ..., 0] * (alpha / 255).transpose(2, 0, 1) + (colour * (1 - alpha / 255)).transpose(2, 0, 1)
    assert np.abs(pixels(file, 3, background) - expected).max() <= 1
    corner = np.broadcast_to(colour, 3)  # the colour that shows at [0, 0], which is transparent in what follows
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 10, 20, 30, 40, 50, 60])
    palette.putpixel((0, 0), 2)
    plain, deep = Image.new("RGB", (4, 4), (10, 20, 30)), Image.fromarray(np.full((4, 4), 2570, np.uint16))
    plain.putpixel((0, 0), (1, 2, 3))
    deep.putpixel((0, 0), 771)
    keys = [(palette, b"\xff\xff\x00"), (palette, 2), (plain, (1, 2, 3)), (plain.convert("L"), 2), (deep, 771)]
    for image, key in keys:
        image.save(file, transparency=key)
        shown = pixels(file, 3, background)
        np.testing.assert_array_equal(shown[:, 0, 0], corner)
        opaque = {"L": 18, "I;16": 10}.get(image.mode, [10, 20, 30])
        np.testing.assert_array_equal(shown[:, 1, 1], np.broadcast_to(opaque, 3))
    palette.save(tmp_path / "a.gif", transparency=2)
    np.testing.assert_array_equal(pixels(tmp_path / "a.gif", 3, background)[:, 0, 0], corner)


def test_a_transparent_palette_says_nothing(tmp_path: Path) -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    image.save(tmp_path / "a.png", transparency=b"\x00\x80")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(pixels(tmp_path / "a.png", 3)[:, 0, 0], [132, 137, 142])


def test_the_first_frame_of_an_animation(tmp_path: Path) -> None:
    frames = [Image.new("L", (4, 4), value) for value in (10, 200)]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], lossless=True)
    assert (pixels(tmp_path / "a.webp") == 10).all()


def bomb(path: Path) -> None:
    Image.new("1", (12000, 12000)).save(path)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def text(path: Path) -> None:
    path.write_text("not an image")


def truncated(path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:2000])


def flipped(path: Path) -> None:
    truncated(path)
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    data = bytearray(path.read_bytes())
    data[1000] ^= 0xFF
    path.write_bytes(bytes(data))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [(bomb, "89 million"), (empty, "empty"), (text, "unknown"), (truncated, "."), (flipped, ".")],
)
def test_damaged_files_are_named(tmp_path: Path, spoil: object, reason: str) -> None:
    assert callable(spoil)
    spoil(tmp_path / "bad.png")
    with pytest.raises(InputError, match=rf"bad\.png: cannot be read as an image \(.*{reason}.*\): repair or remove"):
        decode(str(tmp_path / "bad.png"), Reading(3, "white"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.png"):
        decode(str(tmp_path / "gone.png"), Reading(3, "white"))
