"""Whatever configures Python's loggers, they are as before afterwards."""

from __future__ import annotations

import logging
import logging.config

from cnntrain.core.loggers import loggers_kept


def test_loggers_are_as_before() -> None:
    old = logging.getLogger("cnntrain.test_loggers.old")
    old.setLevel(logging.WARNING)
    root = logging.root
    before = root.handlers[:], root.level, old.level, old.disabled, old.propagate
    with loggers_kept():
        new = logging.getLogger("cnntrain.test_loggers.new")
        console = {"class": "logging.StreamHandler"}
        settings = {"version": 1, "handlers": {"x": console}, "root": {"level": "DEBUG", "handlers": ["x"]}}
        logging.config.dictConfig({**settings, "disable_existing_loggers": True})
        assert old.disabled and new.disabled and root.handlers != before[0]
    assert (root.handlers, root.level, old.level, old.disabled, old.propagate) == before
    assert not new.disabled
