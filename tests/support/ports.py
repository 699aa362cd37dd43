"""Ports for processes that are to meet."""

from __future__ import annotations

import os
import socket
from itertools import count

FIRST, MANY = 10_000, 20_000  # below those that the system hands out, of which another process might be given ours
_numbers = count(os.getpid() % 1_000 * 20)  # suites side by side begin elsewhere


def free_port() -> str:
    """One at which nobody listens, and which nobody is given before it is used."""
    for number in _numbers:
        port = FIRST + number % MANY
        try:
            socket.create_server(("localhost", port)).close()
        except OSError:
            continue
        return str(port)
    raise AssertionError("they do not end")
