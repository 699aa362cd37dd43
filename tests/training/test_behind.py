"""Work beside the training is one piece at a time, and what fails there is raised where it is waited for, once."""

from __future__ import annotations

import threading

import pytest

from cnntrain.training.behind import Behind


def fail() -> None:
    raise ValueError("no")


def test_a_piece_of_work_begins_when_the_one_before_is_done() -> None:
    behind, may_end, seen = Behind(), threading.Event(), list[str]()

    def first() -> None:
        may_end.wait(10)
        seen.append("first")

    behind.begin(first)
    assert behind.is_busy and seen == []
    threading.Timer(0.05, may_end.set).start()
    behind.begin(lambda: seen.append("second"))  # waits
    assert seen[0] == "first"
    behind.close()
    assert seen == ["first", "second"] and not behind.is_busy


@pytest.mark.parametrize("how", ["wait", "begin", "close", "check"])
def test_what_fails_is_raised_once_where_it_is_waited_for(how: str) -> None:
    behind = Behind()
    behind.begin(fail)
    assert behind._work is not None and behind._work.exception() is not None  # done
    with pytest.raises(ValueError, match="no"):
        getattr(behind, how)(*([fail] if how == "begin" else []))
    behind.wait()
    behind.close()


def test_what_is_not_done_is_not_waited_for_by_a_check() -> None:
    behind, may_end = Behind(), threading.Event()
    behind.begin(lambda: may_end.wait(10) and fail())
    behind.check()
    may_end.set()
    with pytest.raises(ValueError, match="no"):
        behind.close()


def test_there_is_no_thread_before_the_first_work_nor_after_the_last() -> None:
    before, behind, seen = threading.active_count(), Behind(), list[threading.Thread]()
    behind.close()
    assert threading.active_count() == before
    for number in (1, 2):
        behind.begin(lambda: seen.append(threading.current_thread()))
        behind.begin(lambda: seen.append(threading.current_thread()))
        behind.close()
        assert threading.active_count() == before
        assert len(set(seen)) == number and threading.current_thread() not in seen
