"""Python's loggers, which are the process's: what a library does to them is undone."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loggers_kept() -> Iterator[None]:
    """Within the block loggers may be configured; afterwards those that were there are as before, and none that came is
    disabled.
    """
    before = [(each, each.handlers[:], each.level, each.propagate, each.disabled) for each in _loggers()]
    try:
        yield
    finally:
        for each in _loggers():
            each.disabled = False
        for each, handlers, level, propagate, disabled in before:
            each.handlers[:], each.propagate, each.disabled = handlers, propagate, disabled
            each.setLevel(level)


def _loggers() -> list[logging.Logger]:
    named = list(logging.root.manager.loggerDict.values())  # placeholders for names between are among them
    return [logging.root, *(each for each in named if isinstance(each, logging.Logger))]
