"""What the configuration of a way to look into a network is. Importing this module imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

EVERY = frozenset({1, 2, 3})


@dataclass(frozen=True)
class Method:
    """The key that every method of ``cnntrain explain`` has.

    A method is a subclass of one of the two kinds in `study.explain.base`, in a file of its own. `dimensions` are those
    of what it can look at, see `data.base.DIMENSIONS`.
    """

    dimensions: ClassVar[frozenset[int]] = EVERY

    name: str

    def of_whole(self, layer: str | None) -> bool:
        """Whether it is of answers to images as a whole.

        Args:
            layer: that it looks at.
        """
        return False
