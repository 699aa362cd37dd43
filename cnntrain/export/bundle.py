"""An exported network, read back and used as a trained one is, with its preprocessing inside."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import torch
from torch import Tensor
from torch.utils.data import default_collate

from cnntrain.build import trained
from cnntrain.build.reading import Adjust
from cnntrain.build.trained import Trained
from cnntrain.build.weights import kept_preprocess
from cnntrain.config import imports, since
from cnntrain.core import extras, plain_json
from cnntrain.core.errors import ConfigError, InputError, first_line
from cnntrain.data.batches.feed import Batch
from cnntrain.data.batches.plan import Plan
from cnntrain.data.batches.preprocess import Preprocess
from cnntrain.data.batches.samples import Samples
from cnntrain.data.sets.bands import first_shown
from cnntrain.data.sets.dataset import Part
from cnntrain.data.sets.given_sides import sample
from cnntrain.export import kinds
from cnntrain.export.graphs import Graph
from cnntrain.export.inputs import laid_out
from cnntrain.export.onnx_file import META
from cnntrain.runs.folder import Needed

SUFFIX = ".onnx"
FORMAT = 1


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
    latent: NotRequired[int]  # of a generator
    detections: NotRequired[int]  # of an image at most, of a detector
    masks: NotRequired[bool]


@dataclass(frozen=True)
class Bundle(Trained):
    """A trained network whose `network` takes inputs as they are: see `GraphNetwork`.

    Attributes:
        own_temperature: what `temperature` is; None: 1.
    """

    own_temperature: float | None

    def preprocess(self, image: Any) -> Tensor:
        """An image as the graph takes it, uint8 [1, height, width, channels]; a signal or a volume: see `inputs`.

        Raises:
            InputError: it is none.
        """
        return torch.from_numpy(laid_out(sample(image, self.seen.reading, self.seen.shape)))[None]

    @cached_property
    def temperature(self) -> float | None:
        """By which the graph divides logits before they are probabilities."""
        return self.own_temperature

    def pictures(self, inputs: Sequence[Tensor]) -> Tensor:
        fitted = [self.seen.fit(each.movedim(-1, 0), 0)[0] for each in inputs]
        return first_shown(torch.stack(fitted).float() / self.seen.white)

    def batches(self, part: Part, seen: Preprocess, plan: Plan) -> Iterator[Batch]:
        """The inputs themselves: the graph does what `seen` says. Targets that go with an image do as it says, too."""
        samples = Samples(part, seen.fit, None)
        for positions in plan:
            each = [self._sample(samples, position) for position in positions.tolist()]
            inputs, targets = [one for one, _ in each], [other for _, other in each]
            yield Batch(inputs, default_collate(targets), len(each)) if each else Batch(None, None, 0)

    @staticmethod
    def _sample(samples: Samples, position: int) -> tuple[Tensor, Any]:
        value, target = samples.part.sample(position)
        if samples.part.targets is not None:
            _, target = samples.sample(0, position)
        return torch.from_numpy(laid_out(value)), target


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
    return of(path, lambda results: graph_of(opened, results), meta, adjust)


def of(
    path: Path, graph: Callable[[int], Graph], meta: Mapping[str, Any], adjust: Adjust = lambda tree: tree
) -> Bundle:
    """A graph, by how many of its results are asked for, with what is known of it."""
    notes = imports.check(meta["imports"], str(path))
    config, newer = since.checked(adjust(meta["config"]))
    kind = kinds.of(config.task.target)
    best = {key: value for key, value in (meta["best"] or {}).items() if key != "val/setting"}  # it has one alone
    return Bundle(
        path=path,
        config=config,
        network=kind.network(graph(kind.results(meta)), meta).eval(),
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
        raise InputError(f"{path} cannot be read as an ONNX file ({first_line(error)})") from error


def graph_of(session: Any, results: int) -> Graph:
    """Of a session of onnxruntime, that gives the first so many of its results."""
    (name,), wanted = [each.name for each in session.get_inputs()], [each.name for each in session.get_outputs()]
    return lambda values: session.run(wanted[:results], {name: values})
