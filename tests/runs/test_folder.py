"""A run's folder: never shared by two runs, held by one at a time, free again as soon as its process is gone."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from cnntrain.core import lock
from cnntrain.core.errors import ConfigError, InputError
from cnntrain.core.lock import held, in_use
from cnntrain.runs import folder

FROZEN_CLOCK = """
import sys, datetime as real
from pathlib import Path
from cnntrain.runs import folder
class Clock(real.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2026, 1, 2, 3, 4, 5)
folder.datetime = Clock
"""
CREATE = (
    FROZEN_CLOCK
    + """
fill = lambda new: (new / folder.CONFIG).touch()
print('ready', flush=True); input()
for _ in range(10): print(folder.create(Path(sys.argv[1]), fill))
"""
)
HOLD = "import sys\nfrom pathlib import Path\nfrom cnntrain.core.lock import held\nwith held(Path(sys.argv[1])):\n    "
HOLD_IT = HOLD + "print('held', flush=True); input()"
HOLD_AND_FORK = HOLD + (
    "import os, time\n    child = os.fork()\n    if not child: time.sleep(60)\n"
    "    print(child, flush=True)\n    time.sleep(60)"
)


@contextmanager
def script(code: str, path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process that has printed its first line, and that line."""
    line = [sys.executable, "-c", code, str(path)]
    process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin and process.stdout
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


@pytest.fixture
def same_second(monkeypatch: pytest.MonkeyPatch) -> str:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> Clock:
            return cls(2026, 1, 2, 3, 4, 5)

    monkeypatch.setattr(folder, "datetime", Clock)
    return "20260102-030405"


# creation


def make(parent: Path) -> Path:
    return folder.create(parent, lambda new: (new / folder.CONFIG).touch())


def test_runs_of_the_same_second_are_numbered(tmp_path: Path, same_second: str) -> None:
    names = [make(tmp_path / "runs").name for _ in range(3)]
    assert names == [same_second, f"{same_second}-1", f"{same_second}-2"]


def test_what_is_killed_before_it_has_a_configuration_leaves_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(new: Path) -> None:
        assert folder.below(tmp_path) == []
        (new / folder.CONFIG).touch()
        assert folder.below(tmp_path) == []  # it has no name yet
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(folder.shutil, "rmtree", lambda *_, **__: None)  # as SIGKILL leaves it
        with pytest.raises(KeyboardInterrupt):
            folder.create(tmp_path, killed)
    (left,) = tmp_path.iterdir()
    made = make(tmp_path)
    assert {*tmp_path.iterdir()} == {left, made}  # another process may be making it
    os.utime(left, (time.time() - folder.ABANDONED - 9,) * 2)
    again = make(tmp_path)
    assert {*tmp_path.iterdir()} == {made, again} == {*folder.below(tmp_path)}


def test_the_name_is_the_time(tmp_path: Path) -> None:
    before = datetime.now().replace(microsecond=0)
    stamp = datetime.strptime(make(tmp_path).name, "%Y%m%d-%H%M%S")
    assert before <= stamp <= datetime.now()


def test_eight_processes_in_one_second_never_share_a_folder(tmp_path: Path) -> None:
    line = [sys.executable, "-c", CREATE, str(tmp_path / "runs")]
    started = [
        subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ)
        for _ in range(8)
    ]
    for each in started:
        assert each.stdout and each.stdout.readline() == "ready\n"
    for each in started:
        assert each.stdin
        each.stdin.write("\n")
        each.stdin.flush()
    made = [path for each in started for path in each.communicate(timeout=60)[0].split()]
    assert len(made) == len(set(made)) == 80
    assert {Path(path) for path in made} == set((tmp_path / "runs").iterdir())


def test_eight_threads_in_one_second_never_share_a_folder(tmp_path: Path, same_second: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: make(tmp_path / "a" / "b"), range(80)))
    assert len(set(made)) == 80


@pytest.mark.parametrize("below", ["", "deeper/still"])
def test_an_output_that_is_a_file_is_an_error_that_names_it(tmp_path: Path, below: str) -> None:
    (tmp_path / "outputs").write_text("")
    with pytest.raises(InputError, match=r"outputs.*choose output=<folder>"):
        make(tmp_path / "outputs" / below)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_unwritable_output_is_an_error_that_names_it(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match=r"Permission denied; choose output=<folder>"):
        make(tmp_path / "outputs")


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, *args: object, **how: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "mkdir", full)
    with pytest.raises(InputError, match="No space left on device; choose output=<folder>"):
        make(tmp_path / "outputs")


# locks


def test_a_held_folder_is_in_use_until_it_is_let_go(tmp_path: Path) -> None:
    assert not in_use(tmp_path)
    with held(tmp_path):
        assert in_use(tmp_path)
        with pytest.raises(InputError, match="is in use by a run under way"), held(tmp_path):
            pass
    assert not in_use(tmp_path)
    with held(tmp_path):
        pass


@pytest.mark.parametrize("lacking", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_drive_without_locks_is_said_and_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], lacking: int
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(lacking, os.strerror(lacking))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with held(tmp_path):
        assert not in_use(tmp_path)
    assert f"note: {tmp_path} is on a drive without locks" in capsys.readouterr().err
    monkeypatch.setattr(fcntl, "flock", lambda *_: (tmp_path / "nothing").stat())
    with pytest.raises(FileNotFoundError), held(tmp_path):
        pass


def test_a_folder_of_another_user_is_named_with_a_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    def refuse_reading(*_: object, **how: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(lock, "open", refuse, raising=False)
    with pytest.raises(InputError, match=rf"{tmp_path} cannot be used: it belongs to \w+, and you may not .*: copy it"):
        held(tmp_path).__enter__()
    assert in_use(tmp_path)
    (tmp_path / folder.CONFIG).touch()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_text", refuse_reading)
        patch.setattr(Path, "read_bytes", refuse_reading)
        for read in (folder.config, folder.result, folder.imports, folder.commands, folder.metrics):
            with pytest.raises(InputError, match=rf"^{tmp_path}/\w+\.\w+: Permission denied$"):
                read(tmp_path)
    assert folder.idle(tmp_path) == []  # resume=latest passes over it


def test_an_error_lets_go(tmp_path: Path) -> None:
    with pytest.raises(KeyError), held(tmp_path):
        raise KeyError
    assert not in_use(tmp_path)


def test_a_folder_held_by_another_process_is_in_use_until_it_is_killed(tmp_path: Path) -> None:
    with script(HOLD_IT, tmp_path) as (process, line):
        assert line == "held"
        assert in_use(tmp_path)
        with pytest.raises(InputError, match="in use"), held(tmp_path):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not in_use(tmp_path)


def test_a_forked_worker_does_not_keep_the_lock_of_its_killed_parent(tmp_path: Path) -> None:
    with script(HOLD_AND_FORK, tmp_path) as (process, line):
        try:
            assert in_use(tmp_path)
            process.kill()
            process.wait()
            os.kill(int(line), 0)  # the worker still lives
            deadline = time.monotonic() + 2  # it may not have run its first line yet
            while in_use(tmp_path) and time.monotonic() < deadline:
                time.sleep(0.01)
            assert not in_use(tmp_path)
        finally:
            os.kill(int(line), signal.SIGKILL)


def test_looking_at_a_folder_never_disturbs_who_takes_it(tmp_path: Path) -> None:
    """Jobs of a sweep look through all folders while others start their runs."""
    (tmp_path / lock.LOCK).touch()
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            in_use(tmp_path)
            time.sleep(0.001)

    with ThreadPoolExecutor(2) as pool:
        lookers = [pool.submit(look) for _ in range(2)]
        try:
            for _ in range(30):
                with held(tmp_path):
                    pass
        finally:
            stop.set()
        for each in lookers:
            each.result()


def test_two_who_look_do_not_see_each_other(tmp_path: Path) -> None:
    (tmp_path / lock.LOCK).touch()
    with ThreadPoolExecutor(4) as pool:
        assert not any(pool.map(lambda _: in_use(tmp_path), range(400)))


# what a folder says


def test_idle_lists_what_nobody_holds_the_newest_first(tmp_path: Path) -> None:
    runs = [tmp_path / "a" / "1", tmp_path / "b" / "2", tmp_path / "b" / "3"]
    for number, run in enumerate(runs):
        run.mkdir(parents=True)
        (run / folder.CONFIG).write_text("seed: 0\n")
        os.utime(run / folder.CONFIG, (number, number))
    (tmp_path / "b" / "no-run").mkdir()
    assert folder.idle(tmp_path) == runs[::-1]
    with held(runs[2]):
        assert folder.idle(tmp_path) == runs[1::-1]
    assert folder.idle(tmp_path / "nowhere") == []


def test_the_latest_is_the_newest_that_has_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"run=latest: there is no run with a best\.ckpt under "):
        folder.latest(tmp_path, "best.ckpt")
    for number, name in enumerate(("c", "a/x", "b")):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / folder.CONFIG).touch()
        if name != "b":
            (tmp_path / name / "best.ckpt").touch()
            os.utime(tmp_path / name / "best.ckpt", (number, number))
    assert folder.latest(tmp_path, "best.ckpt") == tmp_path / "a/x"


@pytest.mark.parametrize(
    ("text", "finished"),
    [(None, False), ('{"status": "finished"}', True), ('{"status": "stopped"}', False), ("{}", False)],
)
def test_a_run_is_finished_when_its_result_says_so(tmp_path: Path, text: str | None, finished: bool) -> None:
    if text is not None:
        (tmp_path / folder.RESULT).write_text(text)
    assert folder.is_finished(tmp_path) is finished


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3", b"\xff"])
def test_a_damaged_result_is_an_error_that_names_it(tmp_path: Path, content: bytes) -> None:
    (tmp_path / folder.RESULT).write_bytes(content)
    with pytest.raises(InputError, match=r"result\.json is damaged"):
        folder.result(tmp_path)


@pytest.mark.parametrize("content", [b"", b"a: [", b"- a", b"text", b"a: \xff", b"!!python/object:os.system {}"])
def test_a_damaged_config_is_an_error_that_names_it(tmp_path: Path, content: bytes) -> None:
    (tmp_path / folder.CONFIG).write_bytes(content)
    with pytest.raises(InputError, match=r"config\.yaml( is damaged|, line 1, column \d: broken YAML| is not UTF-8)"):
        folder.config(tmp_path)


def test_a_folder_that_is_no_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds no config\.yaml: it is not a run's folder"):
        folder.config(tmp_path)
    with pytest.raises(ConfigError, match="nowhere does not exist; give a run's folder, latest or auto"):
        folder.config(tmp_path / "nowhere")
