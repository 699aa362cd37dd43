"""From images to what an attribution says of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
        answer: the most probable class.
        map: float32 [height, width]; above 0 speaks for the class.
        seen: the image as the network sees it, values from 0 to 1, float32 [height, width, channels].
        facts: what the method found beside the map.
    """

    image: str
    position: int
    target: str
    probability: float
    answer: str
    map: np.ndarray
    seen: np.ndarray
    facts: Mapping[str, Any]


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

    def positions(self, shown: Shown, images: list[int], probabilities: Tensor) -> Tensor:
        """Of the class of each image, int64 [images].

        Raises:
            InputError: the label of an image is none of the network's classes.
        """
        if self.asked == PREDICTED:
            return probabilities.argmax(1)
        if self.asked != LABEL:
            return torch.full((len(images),), self.classes[self.asked], device=probabilities.device)
        return torch.tensor([self._label(shown, each) for each in images], device=probabilities.device)

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

    Attributes:
        notes: what the method says of all of them, once some were made.
    """

    def __init__(self, method: Attribution, subject: Subject, shown: Shown, target: str):
        self.method, self.subject, self.shown = method, subject, shown
        self.target = Target(target, subject)
        self.notes: list[str] = []

    def __iter__(self) -> Iterator[Explanation]:
        for positions, inputs in self.shown.batches():
            yield from self._batch(positions, inputs)

    def _batch(self, positions: list[int], inputs: Tensor) -> Iterator[Explanation]:
        with undisturbed(self.subject.network):
            inputs = inputs.clone()  # where the caller's were made without gradients in mind, these can have some
            with torch.no_grad():
                probabilities = self.subject.probabilities(inputs.clone())
            targets = self.target.positions(self.shown, positions, probabilities)
            found = self.method.maps(self.subject, inputs, targets)
        assert found.values.shape == (len(inputs), *inputs.shape[2:])
        self.notes += [each for each in found.notes if each not in self.notes]
        maps = found.values.detach().float().cpu().numpy()
        seen = self.subject.seen.undo(inputs.detach()).permute(0, 2, 3, 1).cpu().numpy()
        answers, classes = probabilities.argmax(1).tolist(), self.subject.classes
        for row, position in enumerate(positions):
            target = int(targets[row])
            yield Explanation(
                image=self.shown.names[position],
                position=position,
                target=classes[target],
                probability=float(probabilities[row, target]),
                answer=classes[answers[row]],
                map=maps[row],
                seen=seen[row],
                facts={} if found.facts is None else found.facts[row],
            )
