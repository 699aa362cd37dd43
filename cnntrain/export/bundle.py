"""An exported network, read back and used as a trained one is, with its preprocessing inside."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import default_collate

from cnntrain.build import trained
from cnntrain.build.reading import Adjust
from cnntrain.build.trained import Trained
from cnntrain.build.weights import kept_preprocess
from cnntrain.config import imports, since
from cnntrain.core import extras, plain_json
from cnntrain.core.errors import ConfigError, InputError
from cnntrain.data.batches.feed import Batch
from cnntrain.data.batches.plan import Plan
from cnntrain.data.batches.preprocess import Preprocess
from cnntrain.data.sets.bands import channels_last
from cnntrain.data.sets.dataset import Part
from cnntrain.data.sets.given import given
from cnntrain.export.onnx_file import IMAGES, LOGITS, META
from cnntrain.runs.folder import Needed

SUFFIX = ".onnx"
FORMAT = 1
VALUES = 2**23  # of images that go through a graph at once, at most: its preprocessing holds them in float64
Graph = Callable[[np.ndarray], np.ndarray]  # uint8 [batch, height, width, channels] to logits [batch, classes]


class Meta(TypedDict):
    """What the metadata of a bundle hold."""

    format: int
    config: dict[str, Any]
    imports: list[Needed]
    classes: list[str]
    preprocess: dict[str, Any]
    epoch: int
    best: dict[str, float] | None
    fingerprint: str
    temperature: float | None
    weights_sha256: str
    folded: int
    int8: bool
    versions: dict[str, str]


class GraphNetwork(nn.Module):
    """A row of images, uint8 [height, width, channels] each, to logits [images, classes]."""

    def __init__(self, graph: Graph):
        super().__init__()
        self._graph = graph

    def forward(self, images: Sequence[Tensor]) -> Tensor:
        rows = [self._graph(np.stack(each)) for each in _alike(images)]
        return torch.from_numpy(np.concatenate(rows))


def _alike(images: Sequence[Tensor]) -> Iterator[list[np.ndarray]]:
    """Neighbours of one size, so many that they have room."""
    for shape, row in groupby((each.numpy() for each in images), key=lambda each: each.shape):
        same, most = list(row), max(1, VALUES // int(np.prod(shape)))
        yield from (same[start : start + most] for start in range(0, len(same), most))


@dataclass(frozen=True)
class Bundle(Trained):
    """A trained network whose `network` takes images as they are: see `GraphNetwork`.

    Attributes:
        own_temperature: what `temperature` is; None: 1.
    """

    own_temperature: float | None

    def preprocess(self, image: Any) -> Tensor:
        """An image as the graph takes it: uint8 [1, height, width, channels].

        Raises:
            InputError: it is no image.
        """
        found = given(image, self.seen.reading)
        return torch.from_numpy(channels_last(found))[None]

    @cached_property
    def temperature(self) -> float | None:
        """By which the graph divides logits before they are probabilities."""
        return self.own_temperature

    def batches(self, part: Part, seen: Preprocess, plan: Plan) -> Iterator[Batch]:
        """The images themselves: the graph does what `seen` says."""
        for positions in plan:
            samples = [part.sample(each) for each in positions.tolist()]
            images = [torch.from_numpy(channels_last(image)) for image, _ in samples]
            targets = [target for _, target in samples]
            yield Batch(images, default_collate(targets), len(samples)) if samples else Batch(None, None, 0)


def read(path: Path, adjust: Adjust = lambda tree: tree) -> Bundle:
    """Read an ONNX file that ``cnntrain export`` wrote; it computes on the CPU.

    Args:
        adjust: what is wanted of the configuration, made of the one that it was trained with.

    Raises:
        InputError: the file is missing, damaged, or of another program.
        ConfigError: onnxruntime is not installed, or the network needs code of the user's own that is not imported.
    """
    opened = session(path)
    text = opened.get_modelmeta().custom_metadata_map.get(META)
    if text is None:
        raise InputError(f"{path} is no bundle of cnntrain's: it does not say what it was trained on")
    try:
        meta = plain_json.read(text, Meta)
    except ValueError as error:
        raise InputError(f"{path} is damaged: {error}") from error
    if meta["format"] != FORMAT:
        raise InputError(f"{path} is of format {meta['format']}, and this cnntrain reads {FORMAT}")
    return of(path, graph_of(opened), meta, adjust)


def of(path: Path, graph: Graph, meta: Mapping[str, Any], adjust: Adjust = lambda tree: tree) -> Bundle:
    """A graph with what is known of it."""
    notes = imports.check(meta["imports"], str(path))
    config, newer = since.checked(adjust(meta["config"]))
    best = {key: value for key, value in (meta["best"] or {}).items() if key != "val/setting"}  # it has one alone
    return Bundle(
        path=path,
        config=config,
        network=GraphNetwork(graph).eval(),
        seen=kept_preprocess(path, meta),
        classes=list(meta["classes"]),
        epoch=meta["epoch"],
        best=best or None,
        fingerprint=meta["fingerprint"],
        notes=[*notes, *newer],
        device=torch.device("cpu"),
        own_temperature=meta["temperature"],
    )


def read_any(path: Path, device: torch.device, adjust: Adjust = lambda tree: tree) -> Trained:
    """A checkpoint, or what was exported of one; raises what `read` and `trained.read` raise."""
    return read(path, adjust) if path.suffix == SUFFIX else trained.read(path, device, adjust)


def require_cpu(members: Sequence[Trained], device: str) -> None:
    """Raises ConfigError where an exported network is asked to compute on a GPU."""
    for each in members:
        if isinstance(each, Bundle) and device == "cuda":
            raise ConfigError(f"{each.path} computes on the CPU: leave out device=cuda")


def session(path: Path) -> Any:
    """Of onnxruntime on the CPU; raises as `read` does."""
    runtime = extras.needed(f"run={path}", "onnxruntime", "export")
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    settings = runtime.SessionOptions()
    settings.log_severity_level = 3  # errors
    settings.intra_op_num_threads = torch.get_num_threads()
    try:
        return runtime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises a type for each kind of damage
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"{path} cannot be read as an ONNX file ({reason})") from error


def graph_of(session: Any) -> Graph:
    """Of a session of onnxruntime."""
    return lambda images: session.run([LOGITS], {IMAGES: images})[0]
