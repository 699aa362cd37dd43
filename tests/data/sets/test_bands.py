"""Images of any number of channels, of 8 and of 16 bits, as they are in files."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from cnntrain.core.errors import InputError
from cnntrain.data.base import Reading
from cnntrain.data.batches.readable import code
from cnntrain.data.sets.bands import shown, shown_in_words
from cnntrain.data.sets.decode import CHANNELS, NO_RANGE, ImageError, PackageError, decode
from cnntrain.data.sets.files import FileImages
from cnntrain.data.sets.given import given

RANDOM = np.random.default_rng(0)
FIVE = RANDOM.integers(0, 65536, (6, 7, 5)).astype(np.uint16)
GREY = RANDOM.integers(0, 65536, (6, 7)).astype(np.uint16)


def written(path: Path, values: np.ndarray) -> str:
    np.save(path, values)
    return str(path)


def last(image: torch.Tensor) -> np.ndarray:
    return image.permute(1, 2, 0).numpy()


def test_the_axis_with_as_many_as_asked_for_is_the_channels(tmp_path: Path) -> None:
    for number, values in enumerate([FIVE, FIVE.transpose(2, 0, 1), FIVE.astype(">u2"), np.asfortranarray(FIVE)]):
        found = decode(written(tmp_path / f"{number}.npy", values), Reading(5, "white", depth=16))
        assert found.dtype == torch.uint16 and np.array_equal(last(found), FIVE)


@pytest.mark.parametrize(
    ("shape", "channels", "message"),
    [
        ((5, 7, 5), 5, r"shape \[5, 7, 5\], of which the first and the last axis could both be the channels"),
        ((3, 7, 1), 3, r"shape \[3, 7, 1\], of which the first and the last axis could both be the channels"),
        ((6, 7, 5), 3, r"shape \[6, 7, 5\], of which neither .* is of data.channels=3: data.channels=5"),
        ((6, 7, 3), 4, r"shape \[6, 7, 3\], of which neither .* is of data.channels=4: data.channels=3"),
        ((6, 7), 5, r"1 channel, and data.channels=5 asks for others: data.channels=1"),
        ((42,), 1, r"shape \[42\], and \[H, W\], \[H, W, C\] or \[C, H, W\] is an image's"),
    ],
)
def test_an_array_whose_channels_are_not_clear_is_refused(
    tmp_path: Path, shape: tuple[int, ...], channels: int, message: str
) -> None:
    path = written(tmp_path / "a.npy", np.zeros(shape, np.uint8))
    with pytest.raises(ImageError, match=rf"a\.npy: has .*{message}") as caught:
        decode(path, Reading(channels, "white"))
    assert caught.value.kind == CHANNELS


@pytest.mark.parametrize("kind", [np.float32, np.int16, np.int64, np.uint32, bool])
def test_an_array_of_no_fixed_range_is_refused(tmp_path: Path, kind: Any) -> None:
    path = written(tmp_path / "a.npy", np.zeros((6, 7), kind))
    with pytest.raises(ImageError, match="have no fixed range; save it with 8 or 16 bits") as caught:
        decode(path, Reading(1, "white"))
    assert caught.value.kind == NO_RANGE


class Evil:
    def __reduce__(self) -> Any:
        return (sys.exit, ("code was run",))


@pytest.mark.parametrize("in_memory", [False, True])
def test_no_pickled_object_is_read(tmp_path: Path, in_memory: bool) -> None:
    array = np.empty((2, 2), object)
    array[:] = Evil()
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    content = (tmp_path / "a.npy").read_bytes() if in_memory else None
    with pytest.raises(ImageError, match=r"a\.npy: cannot be read as an image"):
        decode(str(tmp_path / "a.npy"), Reading(1, "white"), content)


def test_a_cut_array_is_damaged(tmp_path: Path) -> None:
    path = Path(written(tmp_path / "a.npy", FIVE))
    path.write_bytes(path.read_bytes()[:-1])
    for content in (None, path.read_bytes()):
        with pytest.raises(ImageError, match="cannot be read as an image"):
            decode(str(path), Reading(5, "white"), content)


def test_depths_become_one_another_with_the_same_black_and_white(tmp_path: Path) -> None:
    eight = RANDOM.integers(0, 256, (6, 7, 5)).astype(np.uint8)
    wide = decode(written(tmp_path / "a.npy", eight), Reading(5, "white", depth=16))
    assert np.array_equal(last(wide), np.rint(eight / 255 * 65535).astype(np.uint16))
    narrow = decode(written(tmp_path / "b.npy", FIVE), Reading(5, "white", depth=8))
    assert narrow.dtype == torch.uint8 and np.array_equal(last(narrow), np.rint(FIVE / 65535 * 255).astype(np.uint8))


def test_16_bits_of_a_png_are_kept(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "a.png")
    for channels in (1, 3):
        found = decode(str(tmp_path / "a.png"), Reading(channels, "white", depth=16))
        assert found.shape == (channels, 6, 7) and (last(found) == GREY[..., None]).all()


def test_what_is_transparent_in_16_bits_is_laid_on_the_background(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "a.png", transparency=int(GREY[2, 3]))
    found = last(decode(str(tmp_path / "a.png"), Reading(3, [255, 0, 10], depth=16)))
    assert found[2, 3].tolist() == [65535, 0, 2570]
    found[2, 3] = GREY[2, 3]
    assert (found == GREY[..., None]).all()


def test_an_8_bit_picture_has_the_same_colours_in_16(tmp_path: Path) -> None:
    Image.fromarray(RANDOM.integers(0, 256, (6, 7, 4)).astype(np.uint8)).save(tmp_path / "a.png")
    eight, sixteen = (decode(str(tmp_path / "a.png"), Reading(3, "black", depth=depth)) for depth in (8, 16))
    assert torch.equal(sixteen.int(), eight.int() * 257)


def test_grey_of_16_bit_colours_is_rounded_once(tmp_path: Path) -> None:
    found = decode(written(tmp_path / "a.npy", FIVE[..., :3]), Reading(1, "white", depth=16))
    expected = FIVE[..., :3].astype(np.float64) @ [0.299, 0.587, 0.114]
    assert np.abs(found[0].numpy() - expected).max() < 1.6  # its weights are 16-bit fractions, as PIL's


def test_other_channels_are_as_the_file_has_them(tmp_path: Path) -> None:
    values = RANDOM.integers(0, 256, (6, 7, 4)).astype(np.uint8)
    Image.fromarray(values).save(tmp_path / "a.png")
    assert np.array_equal(last(decode(str(tmp_path / "a.png"), Reading(4, "white"))), values)
    Image.fromarray(values[..., :3]).save(tmp_path / "b.png")
    with pytest.raises(ImageError, match=r"b\.png: has 3 channels, and data.channels=4 asks for others"):
        decode(str(tmp_path / "b.png"), Reading(4, "white"))


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("form", ["samples", "planes", "pages", "grey"])
def test_forms_of_tiff(tmp_path: Path, kind: Any, form: str) -> None:
    values = (FIVE >> (0 if kind is np.uint16 else 8)).astype(kind)
    path = str(tmp_path / "a.tif")
    first = np.ascontiguousarray(values.transpose(2, 0, 1))
    if form == "samples":
        tifffile.imwrite(path, values, photometric="minisblack", planarconfig="contig")
    elif form == "planes":
        tifffile.imwrite(path, first, photometric="minisblack", planarconfig="separate")
    elif form == "pages":
        pages = [Image.fromarray(each) for each in first]
        pages[0].save(path, save_all=True, append_images=pages[1:])
    else:
        values = values[..., :1]
        tifffile.imwrite(path, values[..., 0])
    depth = 8 * np.dtype(kind).itemsize
    for content in (None, Path(path).read_bytes()):
        assert np.array_equal(last(decode(path, Reading(values.shape[2], "white", depth), content)), values)
    if form != "grey":
        with pytest.raises(ImageError, match=r"a\.tif: has 5 channels, and data.channels=3 asks .*: data.channels=5"):
            decode(path, Reading(3, "white"))


def test_colours_of_16_bits_in_a_tiff(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", FIVE[..., :3], photometric="rgb")
    assert np.array_equal(last(decode(str(tmp_path / "a.tif"), Reading(3, "white", depth=16))), FIVE[..., :3])


def test_colours_of_16_bits_that_would_lose_them_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.ppm"
    path.write_bytes(b"P6 7 6 65535\n" + FIVE[..., :3].astype(">u2").tobytes())
    assert decode(str(path), Reading(3, "white")).shape == (3, 6, 7)
    with pytest.raises(ImageError, match=r"colours of 16 bits are read with 8 in this format; save it as \.npy"):
        decode(str(path), Reading(3, "white", depth=16))


def test_integers_that_may_have_32_bits_have_no_depth(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 200, np.int32)).save(tmp_path / "a.tif")
    with pytest.raises(ImageError, match="32-bit pixels have no fixed range"):
        decode(str(tmp_path / "a.tif"), Reading(1, "white", depth=16))


def test_the_package_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tifffile.imwrite(tmp_path / "a.tif", FIVE, photometric="minisblack", planarconfig="contig")
    monkeypatch.setitem(sys.modules, "tifffile", None)
    images = FileImages(tmp_path, ["a.tif"], Reading(5, "white", 16))
    for read in (lambda: images[0], lambda: code(images, 0)):  # it does not make the image a bad one
        with pytest.raises(PackageError, match=r'a\.tif: .*package tifffile.*pip install "cnntrain\[tiff\]"'):
            read()


def test_arrays_from_python_are_what_their_files_are(tmp_path: Path) -> None:
    expected = decode(written(tmp_path / "a.npy", FIVE), Reading(5, "white", depth=16))
    kinds = [FIVE, FIVE.transpose(2, 0, 1), torch.from_numpy(FIVE).permute(2, 0, 1), FIVE / 65535, tmp_path / "a.npy"]
    for each in kinds:
        assert torch.equal(given(each, Reading(5, "white", 16)), expected)
    with pytest.raises(InputError, match=r"has 3 channels, and data\.channels=5 asks for others"):
        given(Image.new("RGB", (4, 4)), Reading(5, "white", 16))
    with pytest.raises(InputError, match=r"type int64 .*no fixed range"):
        given(FIVE.astype(np.int64), Reading(5, "white", 16))


def test_an_archive_of_arrays_is_the_folder(tmp_path: Path, make: Any) -> None:
    for number in range(4):
        folder = tmp_path / "root" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        written(folder / f"{number}.npy", FIVE + number)
    with zipfile.ZipFile(tmp_path / "root.zip", "w") as archive:
        for each in sorted((tmp_path / "root").rglob("*.npy")):
            archive.write(each, each.relative_to(tmp_path / "root"))
    keys: dict[str, Any] = {"channels": 5, "depth": 16, "split": [0.5, 0.5]}
    plain, packed = (make("imagefolder", root=str(tmp_path / name), **keys).load() for name in ("root", "root.zip"))
    in_8_bits = make("imagefolder", root=str(tmp_path / "root"), **{**keys, "depth": 8}).load()
    assert plain.fingerprint == packed.fingerprint != in_8_bits.fingerprint
    for one, other in zip(plain.train.images, packed.train.images, strict=True):
        assert torch.equal(one, other) and one.dtype == torch.uint16


def test_what_is_shown_of_many_channels() -> None:
    image = torch.from_numpy(FIVE).permute(2, 0, 1)
    seen = given(FIVE[..., :3].copy(), Reading(3, "white", 16))
    assert torch.equal(shown(image), seen.div(257).round().to(torch.uint8))
    assert shown(image[:2]).shape == (1, 6, 7) and shown(image[:3]).shape == (3, 6, 7)
    assert shown_in_words(3) == "" and "of 5 channels the first three" in shown_in_words(5)
