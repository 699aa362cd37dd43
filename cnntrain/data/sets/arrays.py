"""Data sets that fit in memory: uint8 arrays, cut into parts."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from cnntrain.core import plain_json
from cnntrain.core.errors import InputError
from cnntrain.data.base import Data
from cnntrain.data.sets.dataset import DataSet, Labelled, Part
from cnntrain.data.sets.divide import Division, check_groups_apart, divided, groups_of, sealed
from cnntrain.data.sets.stratify import PARTS


@dataclass(frozen=True)
class Arrays:
    """Labelled images, signals or volumes.

    Attributes:
        images: uint8 [n, channels, height, width]; signals float32 [n, channels, length]; volumes uint8
            [n, channels, frames, height, width].
        labels: int64 [n].
        ids: n names.
    """

    images: np.ndarray
    labels: np.ndarray
    ids: Sequence[str]

    def take(self, index: np.ndarray) -> Arrays:
        """The samples at the positions `index`."""
        return Arrays(self.images[index], self.labels[index], [self.ids[i] for i in index])


class ArrayImages:
    """Images, signals or volumes held as one tensor.

    Attributes:
        tensor: as `Arrays.images`; read-only, since grey images shown as RGB share one plane.
    """

    def __init__(self, images: np.ndarray, channels: int):
        self.tensor = with_channels(torch.from_numpy(np.require(images, requirements=["C", "W"])), channels)

    def __len__(self) -> int:
        return len(self.tensor)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.tensor[index].clone()  # a transform that writes in place must not change the data set


def with_channels(images: torch.Tensor, channels: int) -> torch.Tensor:
    """Grey [n, 1, ...] to RGB by repetition (no copy), RGB [n, 3, ...] to grey by ITU-R 601 luma."""
    if images.shape[1] == channels:
        return images
    if channels == 3:
        return images.expand(-1, 3, *images.shape[2:])
    return torch.cat([_luma(block) for block in torch.split(images, 1024)])


def _luma(images: torch.Tensor) -> torch.Tensor:
    """uint8 or uint16 [n, 3, ...] to [n, 1, ...], rounded as PIL does, so that files give the same greys."""
    red, green, blue = images.to(torch.int32 if images.dtype == torch.uint8 else torch.int64).unbind(1)
    weighted = 19595 * red + 38470 * green + 7471 * blue  # 0.299, 0.587, 0.114 in units of 1/65536
    return ((weighted + 32768) >> 16).to(images.dtype).unsqueeze(1)


def divided_set(
    source: Data, official: Mapping[str, Arrays], classes: Sequence[str], whole: Sequence[float] = (0.6, 0.2, 0.2)
) -> DataSet:
    """The data set of `official` parts (train, and possibly val and test), or of all images under the key ``all``.

    Where val is missing it is carved from train by `source.split`, and from all images test is, too. Of folds one is
    the test part, and the set's own is left out.

    Args:
        whole: how all images are divided where `source.split` is null.

    Raises:
        InputError: the parts do not fit `source.split`, `source.folds` or `source.group`, or are too small.
    """
    group, parts = source.group, dict(official)
    how = Division.asked(source, f"data={source.name}", official, whole)
    if how is not None:
        labelled = official["all" if "all" in official else "train"]
        groups = None if group is None else groups_of(group, labelled.ids)
        pieces = divided(labelled.labels, classes, how, groups)
        parts |= {name: labelled.take(piece) for name, piece in pieces.items()}
    if group is not None:
        check_groups_apart({name: groups_of(group, parts[name].ids) for name in PARTS if name in parts})
    found = array_set({name: parts[name] for name in PARTS if name in parts}, classes, source.channels)
    return replace(found, notes=sealed(source.folds, own_test="test" in official))


def array_set(parts: Mapping[str, Arrays], classes: Sequence[str], channels: int) -> DataSet:
    """The data set of `parts` (train, val and possibly test), whose images or volumes' frames are square and alike, or
    whose signals have one length."""
    built = {
        name: Part(ArrayImages(arrays.images, channels), arrays.labels, arrays.ids) for name, arrays in parts.items()
    }
    return DataSet(
        classes=list(classes),
        channels=channels,
        native_size=parts["train"].images.shape[-1],
        native_frames=parts["train"].images.shape[2] if parts["train"].images.ndim == 5 else None,
        train=built["train"],
        val=built["val"],
        test=built.get("test"),
        fingerprint=_fingerprint(parts, classes, channels),
    )


def as_labelled(source: Data, found: Mapping[str, Arrays], classes: Sequence[str], part: str) -> Labelled:
    """A part of what was found, or all of what comes in no parts, to be judged.

    Raises:
        InputError: there is no such part.
    """
    name = "all" if "all" in found else part
    if name not in found:
        raise InputError(f"{source.root}: has no {part} part; choose part={' or part='.join(found)}")
    own = found[name]
    notes = [f"it comes in no parts: all {len(own.labels):,} are taken"] if name == "all" else []
    shown = Part(ArrayImages(own.images, source.channels), own.labels, own.ids)
    return Labelled([*classes], shown, name, _fingerprint({name: own}, classes, source.channels), notes)


def _fingerprint(parts: Mapping[str, Arrays], classes: Sequence[str], channels: int) -> str:
    """Hex sha256 over the classes, the channels, and every part's ids, labels and pixels.

    The ids hold the positions in the arrays of origin, so they are the split's indices.
    """
    digest = hashlib.sha256(plain_json.text([list(classes), channels]).encode())
    for name, arrays in parts.items():
        digest.update(plain_json.text([name, arrays.images.shape, list(arrays.ids)]).encode())
        digest.update(np.ascontiguousarray(arrays.labels, dtype="<i8").data)
        digest.update(np.ascontiguousarray(arrays.images).data)
    return digest.hexdigest()
