"""A server that cannot be reached is said within seconds."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import pytest

from cnntrain.core.network import unreachable


def test_a_look_up_that_never_ends_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """As behind a DNS that drops what it is asked."""
    answered = threading.Event()

    def never(*_: Any, **__: Any) -> None:
        answered.wait()
        raise OSError("Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", never)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    start = time.monotonic()
    assert unreachable(["https://a.example"], seconds=0.1) == "no answer from https://a.example within 0 seconds"
    assert time.monotonic() - start < 2
    answered.set()
