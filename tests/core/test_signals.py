from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from cnntrain.core import signals


def test_a_signal_only_sets_a_flag_within_the_block() -> None:
    before = [signal.getsignal(each) for each in signals.HANDLED]
    with signals.handled():
        assert signals.received() is None
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.received() == "SIGTERM"
    assert [signal.getsignal(each) for each in signals.HANDLED] == before


def test_a_new_block_forgets_old_signals() -> None:
    with signals.handled():
        os.kill(os.getpid(), signal.SIGUSR1)
    with signals.handled():
        assert signals.received() is None


def test_the_second_signal_interrupts_who_does_not_want_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    with signals.handled():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_a_rank_bears_the_second_signal_of_its_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "0")
    with signals.handled():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.received() == "SIGINT"


def test_signals_are_passed_on_within_the_block() -> None:
    others: list[int] = []
    with signals.handled(others.append):
        os.kill(os.getpid(), signal.SIGTERM)
    assert others == [signal.SIGTERM]
    with signals.handled():
        os.kill(os.getpid(), signal.SIGTERM)
    assert len(others) == 1


WORKER = """
import os, signal, sys, time
from cnntrain.core import signals
signals.die_with = lambda parent, by: None
parent = os.getppid()
for number in range(2):  # of which the second is not to begin
    with signals.worker_of(parent), signals.handled():
        assert (signals.received() is None) == (number == 0)
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
        assert signals.received() == "SIGINT"
os.kill(os.getpid(), signal.SIGTERM)
if sys.argv[1] == "gone":
    os.getppid = lambda: 1
    os.kill(os.getpid(), signal.SIGTERM)
print("still here")
"""


@pytest.mark.parametrize(("parent", "code", "said"), [("there", 0, "still here\n"), ("gone", signals.STOPPED, "")])
def test_a_worker_bears_signals_until_its_parent_is_gone(parent: str, code: int, said: str) -> None:
    env = {key: value for key, value in os.environ.items() if key != "RANK"}
    done = subprocess.run([sys.executable, "-c", WORKER, parent], env=env, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (code, said), done.stderr


def test_handlers_are_put_back_after_an_error() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ZeroDivisionError), signals.handled():
        1 / 0  # noqa: B018
    assert signal.getsignal(signal.SIGTERM) == before


def test_restore_lets_signals_end_the_process() -> None:
    with signals.handled():
        signals.restore()
        assert all(signal.getsignal(each) == signal.SIG_DFL for each in signals.HANDLED)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's help is Linux's")
def test_a_process_goes_with_its_parent_however_that_ends() -> None:
    reads, writes = os.pipe()
    parent = os.fork()
    if not parent:
        here = os.getpid()
        if not os.fork():
            signals.die_with(here)
            os.write(writes, b"ready")
            time.sleep(60)
        time.sleep(60)
        os._exit(0)
    os.close(writes)
    with open(reads, "rb", buffering=0) as ended:
        assert ended.read(5) == b"ready"
        start = time.monotonic()
        os.kill(parent, signal.SIGKILL)
        os.waitpid(parent, 0)
        assert ended.read(1) == b""  # nobody holds the other end
    assert time.monotonic() - start < 2


@pytest.mark.skipif(not hasattr(signal, "sigwaitinfo"), reason="who sends a signal is not told")
def test_a_process_ends_by_its_parent_and_not_by_others() -> None:
    reads, writes = os.pipe()
    with signals.without_sigterm():
        child = os.fork()
        if not child:
            threading.Thread(target=time.sleep, args=[60], daemon=True).start()  # which would take the signal, too
            signals.heed_alone(os.getppid())
            os.write(writes, b"ready")
            time.sleep(60)
            os._exit(1)
    assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    assert os.read(reads, 5) == b"ready"
    subprocess.run(["kill", "-TERM", str(child)], check=True)
    time.sleep(0.2)
    assert os.waitpid(child, os.WNOHANG) == (0, 0)
    os.kill(child, signal.SIGTERM)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
