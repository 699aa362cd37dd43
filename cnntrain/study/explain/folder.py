"""The folder of an explanation: its pictures, what they were drawn from, and what they are of."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from cnntrain.core import plain_json
from cnntrain.core.files import sha256_of, write_atomic
from cnntrain.core.words import ending
from cnntrain.data.sets import bands
from cnntrain.study.curves import picture
from cnntrain.study.explain import drawing, rowwise
from cnntrain.study.explain.base import Cloud, Method, Picture
from cnntrain.study.explain.explaining import Explanation
from cnntrain.study.explain.subject import Shown

IMAGE = 2  # sides
NAME = 70  # characters of an image's name
EXPLANATION, SHEET, MAPS, ARRAYS = "explain.json", "sheet.png", "maps.npz", "arrays.npz"
Images = dict[str, np.ndarray]  # by their names in TensorBoard, uint8 [height, width, 3]


def new(stem: Path) -> Path:
    """A folder that is not there yet, of this name or one with a number behind it."""
    paths = (stem.with_name(f"{stem.name}{f'-{number}' if number > 1 else ''}") for number in count(1))
    return next(path for path in paths if not path.exists())


def about(method: Method, layer: str | None, **more: Any) -> dict[str, Any]:
    """What every ``explain.json`` says first."""
    return {"method": asdict(method), "layer": layer, **more}


def write_explanations(folder: Path, found: Iterable[Explanation], shown: Shown, result: Mapping[str, Any]) -> Images:
    """Write a picture an image, one of the first of them, their maps and ``explain.json``; returns that one picture.

    Raises:
        RunError: the disk is full or cannot be written.
    """
    rows, maps, first = [], [], list[Explanation]()
    name = str(result["method"]["name"]) + (f" at {result['layer']}" if result["layer"] else "")
    for number, each in enumerate(found, 1):
        folder.mkdir(parents=True, exist_ok=True)  # not before there is something to write
        file = f"{number:04d}-{_plain(Path(each.image).stem)}.png"
        write_atomic(folder / file, _drawn(each, shown, f"{name}: {ending(each.image, NAME)}"))
        rows.append(_row(each, file))
        maps.append(each.map)
        if len(first) < drawing.MOST:
            first.append(each)
    if not rows:
        return {}
    draw = drawing.sheet if first[0].map.ndim == IMAGE else rowwise.sheet
    sheet = draw(first, f"{name}, {result['model']}{_counted(len(first), len(rows))}")
    write_atomic(folder / SHEET, sheet)
    _write_arrays(folder / MAPS, {"maps": np.stack(maps), "images": np.array([each["image"] for each in rows])})
    _write_json(folder, {**result, "images": rows})
    return {f"explain/{folder.name}": drawing.pixels_of(sheet)}


def write_pictures(
    folder: Path, found: Iterable[Picture], result: Mapping[str, Any], project: Callable[[str, Cloud], None]
) -> Images:
    """Write each picture, what all were drawn from, and ``explain.json``; returns them.

    Args:
        project: is given what is for TensorBoard's projector, with its name.

    Raises:
        RunError: the disk is full or cannot be written.
    """
    rows, arrays, images = [], dict[str, np.ndarray](), Images()
    for each in found:
        folder.mkdir(parents=True, exist_ok=True)  # not before there is something to write
        file, content = f"{_plain(each.name)}.png", picture(each.figure, "png")
        write_atomic(folder / file, content)
        rows.append({"name": each.name, "picture": file, **each.facts})
        arrays |= {f"{each.name}/{key}": value for key, value in each.arrays.items()}
        images[f"explain/{folder.name}/{_plain(each.name)}"] = drawing.pixels_of(content)
        if each.cloud is not None:
            project(f"{folder.name}-{_plain(each.name)}", each.cloud)
    if not rows:
        return {}
    if arrays:
        _write_arrays(folder / ARRAYS, arrays)
    _write_json(folder, {**result, "pictures": rows})
    return images


def _drawn(each: Explanation, shown: Shown, title: str) -> bytes:
    if each.map.ndim != IMAGE:
        return rowwise.draw(each, title)
    original = bands.shown(shown.picture(each.position)).permute(1, 2, 0).numpy()
    return drawing.draw(each, original, title)


def _row(each: Explanation, file: str) -> dict[str, Any]:
    path = Path(each.image)
    return {
        "image": each.image,
        "sha256": sha256_of(path) if path.is_file() else None,
        "picture": file,
        "target": each.target,
        "probability": each.probability,
        "answer": each.answer,
        **each.facts,
    }


def _write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)  # type: ignore[arg-type]
    write_atomic(path, content.getbuffer())


def _write_json(folder: Path, result: Mapping[str, Any]) -> None:
    write_atomic(folder / EXPLANATION, plain_json.text(result, indent=2).encode())


def _plain(name: str) -> str:
    """Letters, digits and a few marks of a name, which a file may be called on any system."""
    return re.sub(r"[^A-Za-z0-9._+-]+", "_", name)[:60]


def _counted(some: int, whole: int) -> str:
    return f": the first {some} of {whole:,}" if some < whole else ""
