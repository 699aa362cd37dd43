"""From images to what an attribution says of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cnntrain.core.errors import ConfigError, InputError
from cnntrain.core.words import listed, suggest
from cnntrain.study.explain.base import Attribution
from cnntrain.study.explain.hooks import undisturbed
from cnntrain.study.explain.subject import Shown, Subject

PREDICTED, LABEL = "predicted", "label"  # targets beside the names of classes


@dataclass(frozen=True)
class Explanation:
    """What one image's answer rests on.

    Attributes:
        image: its file, or its number.
        target: the class that the map is of.
        probability: that the network gives it.
        answer: the most probable class; of several in one image see `Score.answers`.
        map: float32 [height, width], of a signal [length], of a volume [frames, height, width]; above 0 speaks for the
            class.
        seen: the image as the network sees it, values from 0 to 1, float32 [height, width, channels]; a signal's
            values [length, channels]; or a volume [frames, height, width, channels].
        facts: what the method found beside the map, and what its score is of.
        part: the pixels, or the box, that the score is of, bool as `map`; None: it is of the whole image.
    """

    image: str
    position: int
    target: str
    probability: float
    answer: str
    map: np.ndarray
    seen: np.ndarray
    facts: Mapping[str, Any]
    part: np.ndarray | None = None


class Target:
    """Of which class maps are.

    Args:
        asked: the name of a class, ``predicted`` or ``label``, which is the folder that an image is in.

    Raises:
        ConfigError: the network knows no such class.
    """

    def __init__(self, asked: str, subject: Subject):
        self.asked = asked
        self.classes = {name: position for position, name in enumerate(subject.classes)}
        if asked not in (PREDICTED, LABEL) and asked not in self.classes:
            near = suggest(asked, self.classes) or f"; its classes are {listed(subject.classes)}"
            raise ConfigError(f"target={asked} is no class of this network, nor predicted or label{near}")

    def positions(self, shown: Shown, images: list[int], answers: Tensor) -> Tensor:
        """Of the class of each image, int64 [images].

        Args:
            answers: of what ``predicted`` means, as many.

        Raises:
            InputError: the label of an image is none of the network's classes.
        """
        if self.asked == PREDICTED:
            return answers
        if self.asked != LABEL:
            return torch.full((len(images),), self.classes[self.asked], device=answers.device)
        return torch.tensor([self._label(shown, each) for each in images], device=answers.device)

    def _label(self, shown: Shown, image: int) -> int:
        label = shown.labels[image]
        if label not in self.classes:
            raise InputError(
                f"target=label: {shown.names[image]} lies in no folder that is called as one of the network's classes"
                f"{suggest(label, self.classes)}; they are {listed(list(self.classes))}"
            )
        return self.classes[label]


class Explained:
    """Explanations, one after the other.

    Args:
        say: is told of an image in which the network says nothing of the class, which is left out.

    Attributes:
        notes: what the method says of all of them, once some were made.
    """

    def __init__(self, method: Attribution, subject: Subject, shown: Shown, target: str, say: Callable[[str], None]):
        self.method, self.subject, self.shown, self.say = method, subject, shown, say
        self.target = Target(target, subject)
        self.notes: list[str] = []

    def __iter__(self) -> Iterator[Explanation]:
        for positions, inputs in self.shown.batches():
            with undisturbed(self.subject.network):
                found = self._batch(positions, inputs.clone())  # the caller's may be made without gradients in mind
            yield from found

    def _batch(self, positions: list[int], inputs: Tensor) -> list[Explanation]:
        with torch.no_grad():
            outputs = self.subject.outputs(inputs)
        asked = self.subject.asked(outputs)
        assert asked.score is not None
        targets = self.target.positions(self.shown, positions, asked.score.answers)
        there = asked.score.there(targets)
        if not there.all():
            self._tell(positions, targets.tolist(), there.tolist(), asked.score.nothing)
            rest = [position for position, each in zip(positions, there.tolist(), strict=True) if each]
            return self._batch(rest, inputs[there]) if rest else []
        probabilities = asked.score.probabilities(outputs)
        return self._explained(positions, inputs, asked, targets, probabilities)

    def _explained(
        self, positions: list[int], inputs: Tensor, asked: Subject, targets: Tensor, probabilities: Tensor
    ) -> list[Explanation]:
        found = self.method.maps(asked, inputs, targets)
        assert asked.score is not None and found.values.shape == (len(inputs), *inputs.shape[2:])
        self.notes += [each for each in found.notes if each not in self.notes]
        maps = found.values.detach().float().cpu().numpy()
        seen = self.subject.seen.undo(inputs.detach()).movedim(1, -1).cpu().numpy()
        part = asked.score.part(targets, inputs.shape[2:])
        parts = [None] * len(inputs) if part is None else [*part.cpu().numpy()]
        facts = found.facts or [{}] * len(inputs)
        classes, answers = self.subject.classes, asked.score.answers.tolist()
        return [
            Explanation(
                image=self.shown.names[position],
                position=position,
                target=classes[target],
                probability=float(probabilities[row, target]),
                answer=classes[answers[row]],
                map=maps[row],
                seen=seen[row],
                facts={**own, **facts[row]},
                part=parts[row],
            )
            for row, (position, target, own) in enumerate(
                zip(positions, targets.tolist(), asked.score.facts(targets), strict=True)
            )
        ]

    def _tell(self, positions: list[int], targets: list[int], there: list[bool], nothing: str) -> None:
        for position, target, each in zip(positions, targets, there, strict=True):
            if not each:
                self.say(
                    f"{self.shown.names[position]}: nothing to explain of class {self.subject.classes[target]}: the "
                    f"network {nothing}"
                )
