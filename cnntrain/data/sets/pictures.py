"""PIL's pictures to pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import ExifTags, Image, ImageFile

from cnntrain.data.base import GREY_OR_RGB, Background, rgb
from cnntrain.data.sets import bands
from cnntrain.data.sets.bands import RangeError

TURNS = {  # EXIF orientation to what undoes it; 1 is upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
NO_FLOATS = "floating-point pixels have no fixed range; save it with 8 or 16 bits"
NO_INTEGERS = "32-bit pixels have no fixed range; save it with 8 or 16 bits"


def pixels(image: Image.Image, channels: int, background: Background, depth: int) -> np.ndarray:
    """The image as [height, width, channels], uint8 or uint16, as `decode` describes it.

    Raises:
        RangeError: it has pixels of a type without a known range.
        ChannelsError: it has other channels.
    """
    return as_array(picture(image, channels, background, depth))


def as_array(found: Image.Image | np.ndarray) -> np.ndarray:
    """What `picture` gives, as [height, width, channels]."""
    if isinstance(found, np.ndarray):
        return found
    values = np.array(found)
    return values.reshape(*values.shape[:2], -1)


def picture(image: Image.Image, channels: int, background: Background, depth: int) -> Image.Image | np.ndarray:
    """As `pixels`, but grey and RGB of 8 bits as PIL has them, in mode L or RGB: an array of them is a copy."""
    if isinstance(image, ImageFile.ImageFile):
        image.filename = ""  # PIL would map an uncompressed file, and one that is to be turned in a wrong shape
        if depth == 16 and _loses_bits(image):
            raise RangeError("colours of 16 bits are read with 8 in this format; save it as .npy or TIFF")
    if (pages := bands.pages(image)) is not None:
        return bands.converted(np.concatenate([_exact(each, image.format) for each in pages], 2), channels, depth)
    image.load()  # which may turn it already
    if channels not in GREY_OR_RGB:
        return bands.converted(_exact(_upright(image), image.format), channels, depth)
    if depth == 16 and image.mode.startswith("I"):
        return _deep_grey(_upright(image), image.format, channels, background)
    plain = _plain(_upright(image), image.format, channels, background)
    return plain if depth == 8 else bands.of_depth(as_array(plain), depth)


def _exact(image: Image.Image, written_as: str | None) -> np.ndarray:
    """[height, width, bands] as they are, uint8 or uint16; of a palette its colours."""
    if image.mode == "F":
        raise RangeError(NO_FLOATS)
    if image.mode.startswith("I"):
        return _wide(image, written_as)[..., None]
    if image.mode in ("P", "PA", "1"):
        image = image.convert("L" if image.mode == "1" else "RGBA" if image.has_transparency_data else "RGB")
    values = np.asarray(image)
    return values.reshape(*values.shape[:2], -1)


def _wide(image: Image.Image, written_as: str | None) -> np.ndarray:
    """Greys of 16 bits, as uint16 [height, width]."""
    if not _is_wide(image, written_as):
        raise RangeError(NO_INTEGERS)
    return _of_16_bits(np.asarray(image), True)


def _loses_bits(image: ImageFile.ImageFile) -> bool:
    """Whether PIL would read only the upper 8 bits of 16."""
    for tile in image.tile:
        given = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
        most = given[1] if image.format == "PPM" and len(given) > 1 else 0
        if not image.mode.startswith("I") and (";16" in str(given[0]) or (isinstance(most, int) and most > 255)):
            return True
    return False


def _deep_grey(image: Image.Image, written_as: str | None, channels: int, background: Background) -> np.ndarray:
    """Greys of 16 bits as uint16 [height, width, channels]."""
    values = _wide(image, written_as)
    found = bands.converted(values[..., None], channels, 16)
    transparent = image.info.get("transparency")
    if transparent is not None:
        ground = bands.converted(np.array([[rgb(background)]], dtype=np.uint8), channels, 16)
        found = np.where((values == transparent)[..., None], ground, found)
    return found


def _plain(image: Image.Image, written_as: str | None, channels: int, background: Background) -> Image.Image:
    """The image in mode L or RGB, as `channels` says; `written_as` is the format of its file."""
    if image.mode == "F":
        raise RangeError(NO_FLOATS)
    if image.mode.startswith("I"):
        image = _grey(np.asarray(image), _is_wide(image, written_as), image.info.get("transparency"))
    if image.has_transparency_data:
        image = _laid_on(image, rgb(background))
    if image.mode not in ("L", "RGB"):
        image = image.convert("RGB")
    mode = "RGB" if channels == 3 else "L"
    return image if image.mode == mode else image.convert(mode)  # which would copy it


def _grey(values: np.ndarray, full_range: bool, transparent: int | None) -> Image.Image:
    """Integers of 16 bits as L, or as LA where one of them stands for what is transparent."""
    grey = Image.fromarray(_to_8_bits(values, full_range))
    if transparent is not None:
        grey.putalpha(Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8)))
    return grey


def _laid_on(image: Image.Image, colour: Sequence[int]) -> Image.Image:
    """The image in mode RGB, composited on a ground of that colour."""
    if image.mode == "La":  # premultiplied
        image = image.convert("LA")
    ground = Image.new("RGBA", image.size, (*colour, 255))
    return Image.alpha_composite(ground, image.convert("RGBA")).convert("RGB")


def _upright(image: Image.Image) -> Image.Image:
    """Undo the orientation. PIL's `exif_transpose` also rewrites other metadata, and fails on odd ones."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # unreadable metadata beside good pixels: nothing is known of the orientation
        return image
    return image.transpose(TURNS[orientation]) if orientation in TURNS else image


def _to_8_bits(values: np.ndarray, full_range: bool) -> np.ndarray:
    """Integers of 16 bits to 8: PIL's own conversion clips them at 255, which turns most images white."""
    return bands.of_depth(_of_16_bits(values, full_range), 8)


def _is_wide(image: Image.Image, written_as: str | None) -> bool:
    """Whether integers are of 16 bits for certain: these readers widen values to them."""
    return written_as in ("PNG", "PPM") or image.mode != "I"


def _of_16_bits(values: np.ndarray, full_range: bool) -> np.ndarray:
    """Integers as uint16; those of a file that may have 32 bits as uint8 where no value is larger."""
    if values.min() < 0 or values.max() > 65535:
        raise RangeError(NO_INTEGERS)
    return values.astype(np.uint8 if not full_range and values.max() <= 255 else np.uint16)
