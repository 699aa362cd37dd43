from __future__ import annotations

import pwd
from pathlib import Path
from typing import Any

import pytest

from cnntrain.core.paths import cache_home, expanded


def test_the_cache_is_in_the_home_or_where_there_is_none_in_the_working_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert cache_home() == Path("/x/cnntrain")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert cache_home() == Path("/home/me/.cache/cnntrain")
    assert expanded("~/a") == Path("/home/me/a")
    monkeypatch.delenv("HOME")

    def nameless(number: int) -> Any:
        raise KeyError(f"getpwuid(): uid not found: {number}")

    monkeypatch.setattr(pwd, "getpwuid", nameless)
    assert cache_home() == tmp_path / ".cache" / "cnntrain"
    assert expanded("~/a") == Path("~/a")
