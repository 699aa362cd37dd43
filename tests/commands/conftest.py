"""Commands as the command line performs them, without a process of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from cnntrain.config.schema import Command


@pytest.fixture
def perform(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Do a command, and return what the command line shows of it, what it made being the last line."""

    def run(command: Command, typed: Sequence[str] = (), code: int = 0) -> str:
        ended = command.execute(typed)
        assert ended.code == code
        return capsys.readouterr().out + (f"{ended.made}\n" if ended.made is not None else "")

    return run
