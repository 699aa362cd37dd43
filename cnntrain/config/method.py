"""What the configuration of a way to look into a network is. Importing this module imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Method:
    """The key that every method of ``cnntrain explain`` has.

    A method is a subclass of one of the two kinds in `study.explain.base`, in a file of its own.
    """

    name: str
