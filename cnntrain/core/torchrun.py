"""Whether torchrun, or what does the same, has started this process. Imports nothing heavy."""

from __future__ import annotations

import os
import signal

from cnntrain.core import signals
from cnntrain.core.errors import ConfigError

VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK", "MASTER_ADDR", "MASTER_PORT")
STARTED_BY_IT = "TORCHELASTIC_RUN_ID"


def end_with_launcher() -> None:
    """Where torchrun has started this process, and is killed so that it cannot end its processes, this one is asked to
    end: it would train, or wait for the others, where nobody looks.
    """
    if STARTED_BY_IT in os.environ:  # else the parent may be a shell, which may go
        signals.die_with(os.getppid(), by=signal.SIGTERM)


def processes() -> int | None:
    """How many processes were started together, of which this is one; None where it was started alone.

    Some sites export ``WORLD_SIZE`` to every job: alone it says nothing of who meets whom.

    Raises:
        ConfigError: it says that there are several, and the rest is not there: each would take itself for all of them.
    """
    missing = [name for name in VARIABLES if name not in os.environ]
    if not missing:
        return int(os.environ["WORLD_SIZE"])
    count = os.environ.get("WORLD_SIZE", "1")
    if count != "1":
        raise ConfigError(
            f"the environment says WORLD_SIZE={count}, but not {', '.join(missing)}: start with torchrun or "
            "devices=<n>; for a process of its own unset WORLD_SIZE"
        )
    return None
