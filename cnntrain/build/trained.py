"""A trained network, read back from a checkpoint as it was evaluated."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from cnntrain.build.data import eval_loader, found_places, workers
from cnntrain.build.model import prepared
from cnntrain.build.weights import kept_preprocess
from cnntrain.config import imports, methods, since
from cnntrain.config.method import Method
from cnntrain.config.pictures import require_method
from cnntrain.config.schema import TrainConfig
from cnntrain.core import seeds
from cnntrain.core.errors import ConfigError, InputError
from cnntrain.core.targets import INSTEAD
from cnntrain.data.batches.feed import Batch
from cnntrain.data.batches.plan import WHOLE, Plan, eval_plan
from cnntrain.data.batches.preprocess import Preprocess
from cnntrain.data.sets.dataset import Images, Part
from cnntrain.data.sets.given_sides import sample
from cnntrain.data.sets.named import GivenImages, Unlabelled
from cnntrain.models import auxiliary
from cnntrain.runs import checkpoint
from cnntrain.runs.folder import result
from cnntrain.study.explain.base import Attribution
from cnntrain.study.explain.explaining import PREDICTED, Explained, Explanation
from cnntrain.study.explain.subject import Shown, Subject, readable
from cnntrain.tasks.base import UnchosenError
from cnntrain.training.precision import autocast, place

HANDED = 4096  # images that are taken at once from what a caller gives


@dataclass(frozen=True)
class Trained:
    """What a checkpoint holds, ready to be used.

    Attributes:
        network: in evaluation mode, without auxiliary heads.
        seen: how images were prepared for it.
        epoch: how many were done; `best` are the values of the best one so far.
        fingerprint: of the data that it was trained on.
        notes: lines for the user.
    """

    path: Path
    config: TrainConfig
    network: nn.Module
    seen: Preprocess
    classes: list[str]
    epoch: int
    best: dict[str, float] | None
    fingerprint: str
    notes: list[str]
    device: torch.device

    @property
    def precision(self) -> AbstractContextManager[Any]:
        """The context of a forward pass, as its run evaluated."""
        return autocast(self.config.trainer.precision, self.device)

    def preprocess(self, image: str | Path | Image.Image | np.ndarray | Tensor) -> Tensor:
        """An image as the network was trained to see it: [1, channels, size, size], normalised, on its device; of a
        signal or a volume [1, *shape].

        Args:
            image: a file, a PIL image, or pixels, uint8 or floating point from 0 to 1: an array [height, width] or
                [height, width, 1, 3 or 4], or a tensor [height, width] or [1, 3 or 4, height, width]. Its depth is
                changed to the network's as that of a file is. For a network of other channels, or 16 bits, see `given`;
                for one of signals or volumes `given_sides`.

        Raises:
            InputError: it is no image.
        """
        fitted, _ = self.seen.fit(sample(image, self.seen.reading, self.seen.shape), 0)
        return self.seen(fitted[None], self.device, next(self.network.parameters()).dtype)

    def predict(self, images: Iterable[Any]) -> list[dict[str, float]]:
        """For each image (see `preprocess`) the probability of each class, the most probable first, at the temperature
        that the run found on val; where an image has any number of labels, of each by itself. Files are read by worker
        processes, as in an evaluation.

        Raises:
            InputError: one is no such, or the run had no validation yet to choose among its settings.
        """
        self.require_whole_images("predict")
        rest, found = iter(images), list[dict[str, float]]()
        while some := list(islice(rest, HANDED)):
            shown = GivenImages(some, self.seen.reading, self.seen.shape)
            in_files = all(isinstance(each, str | Path) for each in some)  # what is in memory is decoded already
            for rows, problems in self.through(self.probabilities, shown, None if in_files else 0):
                if any(problems):
                    raise InputError(next(filter(None, problems)))
                found += [self._ranked(row) for row in rows.tolist()]
        return found

    @torch.inference_mode()
    def through(
        self, network: Callable[[Tensor], Tensor], images: Images, readers: int | None = None
    ) -> Iterator[tuple[Tensor, list[str]]]:
        """What a network makes of images, in the run's batches and arithmetic, as an evaluation computes it.

        Args:
            network: of images as its own network is given them.
            readers: processes that read the images; None: as the run's evaluation has, but no more than batches.

        Returns:
            A row an image, on the CPU, in their order; and for each why it cannot be read, empty where it can. What
            stands in the row of one that cannot is of a black image.
        """
        for batch in self._batches_of(images, readers):
            with self.precision:
                rows = network(batch.inputs)
            yield rows.cpu(), batch.targets

    def _batches_of(self, images: Images, readers: int | None) -> Iterable[Batch]:
        """What its network is given of images, whose targets are why they cannot be read; see `through`."""
        part, data = Unlabelled(images, self.seen.shape, self.seen.depth), self.config.data
        plan = eval_plan(len(part), data.batch_size, WHOLE)
        if readers is None:
            readers = min(workers(data), len(plan)) if len(plan) > 1 else 0
        config = replace(self.config, data=replace(data, num_workers=readers))
        return replace(self, config=config).batches(part, self.seen, plan)

    def pictures(self, inputs: Any) -> Tensor:
        """What it sees of images, for people to look at, of what its network is given: float32 [images, 1 or 3, height,
        width] from 0 to 1."""
        return self.seen.undo(inputs)

    def batches(self, part: Part, seen: Preprocess, plan: Plan) -> Iterable[Batch]:
        """What its network is given of a part's images, in a plan's order."""
        return eval_loader(self.config, part, seen, self.device).batches(plan)

    def subject(self, layer: str | None = None, seed: int = 0) -> Subject:
        """The network for the methods of `study.explain`, in its weights' precision.

        Args:
            layer: see `Subject`.

        Raises:
            InputError: it has no such layer, or is an exported one, which has none, or answers to no images.
        """
        if next(self.network.parameters(), None) is None:
            raise InputError(f"{self.path}: an exported network cannot be looked into: give its run's folder")
        if self.config.task.target == "image":
            self.require_whole_images("explain")
        scoring = partial(self.config.task.score, classes=len(self.classes), temperature=self.temperature)
        return Subject(
            self.network, layer, self.classes, self.seen, scoring, self.device, seed, chosen=self.of_chosen_setting
        )

    def require_whole_images(self, what: str) -> None:
        """Raises InputError where it answers otherwise than to images as a whole.

        Args:
            what: is asked of it.
        """
        task = self.config.task
        if task.target in INSTEAD:
            ways = "samples=64 output=<folder> writes some" if task.target == "image" else "output=<folder> draws them"
            raise InputError(
                f"{self.path}: {what} is of answers to images as a whole, and task={task.name} {INSTEAD[task.target]}; "
                f"cnntrain predict {ways}"
            )

    def shown(self, images: Sequence[Any], say: Callable[[str], None], names: Sequence[str] | None = None) -> Shown:
        """Images for the methods of `study.explain`.

        Args:
            images: see `preprocess`; or signals or volumes, see `given_sides`.
            say: is told why one cannot be read.
            names: of each; None: their files, or numbers for those that have none.
        """
        in_files = [str(each) if isinstance(each, str | Path) else None for each in images]
        found = GivenImages(images, self.seen.reading, self.seen.shape)
        batches = partial(self._batches_of, found, None if None not in in_files else 0)
        names = names or [str(number) if file is None else file for number, file in enumerate(in_files)]
        labels = ["" if file is None else Path(file).absolute().parent.name for file in in_files]
        return Shown(names, labels, partial(readable, batches, say), found.__getitem__)

    def explain(
        self,
        images: Sequence[Any],
        method: str | Method = "gradcam",
        target: str = PREDICTED,
        layer: str | None = None,
        seed: int = 0,
        **keys: Any,
    ) -> list[Explanation]:
        """What the answers to images (see `preprocess`), signals or volumes (see `given_sides`) rest on, as ``cnntrain
        explain`` computes it.

        Args:
            method: an attribution's name, or one made by `config.methods.method`.
            target: the name of a class; ``predicted``: the most probable one; ``label``: that of an image's folder.
            keys: of the method, such as ``steps=50``.

        Raises:
            ConfigError: there is no such method, class or key, or the method has no meaning for the network.
            InputError: one is no image, the network has no such layer, or is not of the kind that the method is for, or
                sees nothing of the class in an image.
        """

        def fail(problem: str) -> None:
            raise InputError(problem)

        chosen = methods.method(method, keys) if isinstance(method, str) else method
        if not isinstance(chosen, Attribution):
            raise ConfigError(f"method={chosen.name} draws pictures and gives no maps: cnntrain explain writes them")
        require_method(chosen, layer, self.config.data, self.config.task)
        shown = self.shown(list(images), fail)
        return list(Explained(chosen, self.subject(layer, seed), shown, target, fail))

    def probabilities(self, seen: Tensor) -> Tensor:
        """Of each class, float64 [images, classes], at the temperature that the run found on val.

        Raises:
            InputError: the run had no validation yet to choose among its settings.
        """
        logits = self.of_chosen_setting(self.network(seen))
        return self.config.task.probabilities(logits.double() / (self.temperature or 1.0))

    def of_chosen_setting(self, outputs: Any) -> Any:
        """What its network gives; of several settings side by side, [settings, images, classes], what the one gives
        that was chosen by val.

        Raises:
            InputError: the run had no validation yet to choose among its settings.
        """
        if not self.config.transfer.side_by_side or outputs.ndim == 2:  # an exported one has one alone
            return outputs
        if self.best is None:
            raise InputError(f"{self.path}: {UnchosenError()}")
        return outputs[int(self.best["val/setting"])]

    @cached_property
    def temperature(self) -> float | None:
        """By which logits are divided, as its run found it on val for the best epoch; None where there is none, or of
        another checkpoint."""
        if self.path.name != checkpoint.BEST:
            return None
        value = (result(self.path.parent) or {}).get("temperature")
        return float(value) if isinstance(value, int | float) else None

    def _ranked(self, values: list[float]) -> dict[str, float]:
        return dict(sorted(zip(self.classes, values, strict=True), key=lambda each: -each[1]))


def best_of(run: Path) -> Path:
    """The best checkpoint in a run's folder."""
    return run / checkpoint.BEST


def read(
    path: Path,
    device: torch.device,
    adjust: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda tree: tree,
) -> Trained:
    """Read a checkpoint; the weights are those that its run evaluated.

    Args:
        adjust: what is wanted of the configuration, made of the one that it was trained with.

    Raises:
        InputError: the file cannot be read.
        ConfigError: it needs code of the user's own that is not imported.
    """
    state = checkpoint.load_run(path)
    notes = imports.check(state["imports"], str(path))
    data = {**state["config"]["data"], **found_places(state)}
    config, newer = since.checked(adjust({**state["config"], "data": data}))
    seen, classes = kept_preprocess(path, state), list(state["classes"])
    shape = len(classes), seen.channels, seen.image_size
    with seeds.generators_kept():  # its random weights are not used
        network = config.model.create(*shape, pretrained=False, small_stem=state["small_stem"])
        network = prepared(config, network, seen)
    try:
        network.load_state_dict(checkpoint.eval_weights(state))
    except RuntimeError as error:
        raise InputError(f"{path} is damaged: its weights are not those of its configuration: {error}") from error
    auxiliary.remove(network)
    place(network.eval(), config.trainer, device)
    epoch, best = (state["progress"][key] for key in ("epoch", "best"))
    return Trained(path, config, network, seen, classes, epoch, best, state["fingerprint"], [*notes, *newer], device)
