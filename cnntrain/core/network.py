"""Whether a server can be reached, answered within seconds: libraries that download retry for minutes."""

from __future__ import annotations

import queue
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Sequence

SECONDS = 10.0  # that a server may take to answer


def unreachable(urls: Sequence[str], seconds: float = SECONDS) -> str | None:
    """Why none of the servers answers within `seconds`, or None; through the proxies of the environment.

    A socket's own limit is not enough: it counts for each address of a host, and not for the look-up of its name, which
    hangs on a dead DNS.
    """
    answers: queue.Queue[Exception | None] = queue.Queue()
    for url in urls:
        threading.Thread(target=lambda url=url: answers.put(_ask(url, seconds)), daemon=True).start()
    deadline = time.monotonic() + seconds
    failures: list[Exception] = []
    while len(failures) < len(urls):
        try:
            failure = answers.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            return f"no answer from {', '.join(urls)} within {seconds:.0f} seconds"
        if failure is None:
            return None
        failures.append(failure)
    return f"{urls[0]}: {getattr(failures[0], 'reason', failures[0])}"


def _ask(url: str, seconds: float) -> Exception | None:
    """None if the server answers, be it with a refusal (some refuse HEAD); otherwise what went wrong."""
    request = urllib.request.Request(url, method="HEAD", headers={"User-Agent": "cnntrain"})
    try:
        urllib.request.urlopen(request, timeout=seconds).close()
    except urllib.error.HTTPError as refusal:
        refusal.close()
    except Exception as error:  # a thread that dies would look like a server that is silent
        return error
    return None
