"""Strings drawn at random. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from cnntrain.config.nas import Decision


def drawn(decisions: Sequence[Decision], random: Random) -> list[int]:
    """Each option as likely as the others."""
    return [random.randrange(each.options) for each in decisions]


def mutated(string: Sequence[int], decisions: Sequence[Decision], random: Random) -> list[int]:
    """The same but for one decision, where there is one that can be made otherwise."""
    found = list(string)
    places = [number for number, each in enumerate(decisions) if each.options > 1]
    if places:
        place = random.choice(places)
        others = [each for each in range(decisions[place].options) if each != found[place]]
        found[place] = random.choice(others)
    return found
