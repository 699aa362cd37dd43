"""Numbers with limits, and paths, as the types of a configuration's keys; ``config.check`` holds every value against
them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Gt, Interval


@dataclass(frozen=True)
class Home:
    """Marks text in which a leading ``~`` is the user's home."""


Count = Annotated[int, Ge(1)]
Whole = Annotated[int, Ge(0)]
Byte = Annotated[int, Interval(ge=0, le=255)]
Positive = Annotated[float, Gt(0)]
NotNegative = Annotated[float, Ge(0)]
Fraction = Annotated[float, Interval(ge=0, lt=1)]
Share = Annotated[float, Interval(ge=0, le=1)]
Inside = Annotated[float, Interval(gt=0, lt=1)]
Proportion = Annotated[float, Interval(gt=0, le=1)]
Place = Annotated[str, Home()]  # a file or a folder
