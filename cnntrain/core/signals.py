"""Stop requests: a signal asks the run to save at its next step and end with exit code 75."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
FIRST_SPEAKS = 3.0  # seconds
PR_SET_PDEATHSIG = 1  # of linux/prctl.h
STOPPED = 75  # EX_TEMPFAIL: run it again

_received: str | None = None
_is_handling = False
_is_patient = False  # whether a second signal is no more than the first
_pass_on: Callable[[int], None] | None = None
_idle_for: int | None = None  # the parent of a worker that is not at work


@contextmanager
def handlers_kept() -> Iterator[None]:
    """Within the block the handlers of `HANDLED` may be changed; afterwards they are as before."""
    if threading.current_thread() is not threading.main_thread():
        yield  # handlers are the main thread's: here none can be changed
        return
    before = {each: signal.getsignal(each) for each in HANDLED}
    try:
        yield
    finally:
        for each, handler in before.items():
            if handler is not None:  # else it was not set from Python, nor can be
                signal.signal(each, handler)


@contextmanager
def handled(pass_on: Callable[[int], None] | None = None) -> Iterator[None]:
    """Within the block the signals of `HANDLED` only set a flag. Enter it after the process group exists: a process
    blocked in the group's start would otherwise not die of SIGTERM. In a block within another the flag is that one's.

    Args:
        pass_on: is called with each signal, for other processes that are to heed it, too.
    """
    global _received, _is_handling, _pass_on
    if _is_handling:
        yield
        return
    _received = None
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's: here nothing comes
        return
    try:
        with handlers_kept():
            for each in HANDLED:
                signal.signal(each, _note)
            _is_handling, _pass_on = True, pass_on
            yield
    finally:
        _received, _is_handling, _pass_on = None, False, None


@contextmanager
def worker_of(parent: int) -> Iterator[None]:
    """A piece of work in a worker of a process that passes signals on. From here on the signals of `HANDLED` set the
    flag, between two blocks, too, and a second one is no more than the first. Where the parent is gone, the worker goes
    as soon as it is not at work.
    """
    global _is_handling, _is_patient, _idle_for
    if not _is_handling:
        for each in HANDLED:
            signal.signal(each, _note)
        _is_handling = _is_patient = True
    _idle_for = None
    die_with(parent, signal.SIGTERM)
    try:
        yield
    finally:
        _idle_for = parent
        _go_with_parent()


def _go_with_parent() -> None:
    if _idle_for is not None and os.getppid() != _idle_for:
        os._exit(STOPPED)


def received() -> str | None:
    """The name of the first signal that came, or None."""
    return _received


def die_with(parent: int, by: signal.Signals = signal.SIGKILL) -> None:
    """Let the kernel end this process when its parent, which may be killed, is gone; on Linux alone.

    Args:
        parent: its process id, as it is at the call.
        by: what is sent; of another than SIGKILL a run that heeds signals saves before it ends.
    """
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(PR_SET_PDEATHSIG, by)
        if os.getppid() != parent:  # it was gone before
            os._exit(1)


def heed_alone(parent: int) -> None:
    """Let SIGTERM end this process only where `parent` sends it. What a service manager, torchrun or ``timeout`` sends
    to a whole group of processes is for the parent to heed, which still needs this one to come to where it can save.
    Where the sender is not told (macOS), nothing changes. Fork the process `without_sigterm`.
    """
    if not hasattr(signal, "sigwaitinfo"):
        return

    def wait() -> None:
        while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
            pass
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()


@contextmanager
def without_sigterm() -> Iterator[None]:
    """Within the block SIGTERM waits, and in processes that are forked there, whose libraries start threads at once
    that would take it, for ever: see `heed_alone`.
    """
    if not hasattr(signal, "sigwaitinfo"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def restore() -> None:
    """Let signals end the process again."""
    for each in HANDLED:
        signal.signal(each, signal.SIG_DFL)


def let_the_first_speak() -> None:
    """Before an error is said: on another rank than the first wait a little, in which the first, where it has the same
    error, ends the group; on another machine, which may hear nothing of it, the first of that one speaks before others.
    """
    if int(os.environ.get("RANK", 0)) > 0:
        restore()
        follows = int(os.environ.get("GROUP_RANK", 0)) > 0 and int(os.environ.get("LOCAL_RANK", 0)) > 0
        time.sleep(FIRST_SPEAKS * (2 if follows else 1))


def _note(number: int, frame: FrameType | None) -> None:
    global _received
    _go_with_parent()
    if _pass_on is not None:
        _pass_on(number)
    if _received is not None and "RANK" not in os.environ and not _is_patient:
        # the second Ctrl-C of somebody who does not want to wait; ranks get a second signal from their launcher
        raise KeyboardInterrupt
    _received = _received or signal.Signals(number).name
