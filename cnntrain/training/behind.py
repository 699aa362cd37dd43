"""Work that goes on beside the training, one piece at a time, and whose failure is the training's."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor


class Behind:
    """Does what it is given in a thread; there is none until something is given, nor once it is closed.

    What a piece of work raises is raised where it is waited for, once.
    """

    def __init__(self) -> None:
        self._executor: ThreadPoolExecutor | None = None
        self._work: Future[None] | None = None

    @property
    def is_busy(self) -> bool:
        return self._work is not None and not self._work.done()

    def begin(self, work: Callable[[], None]) -> None:
        """Let `work` be done, once the work before it is; raises what that raised."""
        self.wait()
        if self._executor is None:
            self._executor = ThreadPoolExecutor(1, thread_name_prefix="behind")
        self._work = self._executor.submit(work)

    def wait(self) -> None:
        """Until nothing is being done; raises what the work raised."""
        work = self._work
        if work is not None:
            work.exception()  # a second Ctrl-C ends the waiting, not the work
            self._work = None
            work.result()

    def check(self) -> None:
        """Raise what the work raised, where it is done."""
        if not self.is_busy:
            self.wait()

    def close(self) -> None:
        """Wait, and end the thread; raises what the work raised."""
        try:
            self.wait()
        finally:
            if self._executor is not None:
                self._executor.shutdown()
                self._executor = None
