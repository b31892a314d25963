"""Looks at processes: in a thread, with an end to how long anybody waits, whatever the kernel does."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import gevent
import pytest

from circusd.kernel import details, proc
from circusd.runtime import looks as module
from circusd.runtime.looks import Looks
from circusd.schema.errors import Conflict, Failed
from tests.gate import until
from tests.waiting import eventually


@pytest.fixture
def looks() -> Iterator[Looks]:
    looks = Looks()
    yield looks
    looks.close()


def own() -> proc.Identity:
    row = proc.row(os.getpid())
    assert row is not None
    return row.identity


def has_looked(looks: Looks) -> bool:
    try:
        return looks.trees([]).is_known
    except Failed:
        return False


def test_no_thread_before_the_first_look(looks: Looks) -> None:
    """Who never asks does not pay; afterwards it is one, and none at the end."""
    before = threading.active_count()
    assert looks.details(own()) is not None
    assert looks.details(own()) is not None
    assert threading.active_count() == before + 1
    looks.close()
    assert threading.active_count() == before


def test_trees_tell_the_use_of_the_processor_at_once(looks: Looks) -> None:
    """The first time there are two looks, so that a share is known of everything."""
    child = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        eventually(lambda: (use := proc.use(child.pid)) and use.ticks > 5, sleep=gevent.sleep, within=20)
        trees = looks.trees([os.getpid()])
        assert trees.is_known
        assert [one["pid"] for one in trees.below[os.getpid()] if one["cpu"] > 1] == [child.pid]
    finally:
        child.kill()
        child.wait()


def test_an_error_in_a_look_is_for_who_asked(looks: Looks, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is raised where the look was asked for, and the next one works."""

    def fails(identity: proc.Identity) -> None:
        raise OSError(24, "no descriptor left")

    with monkeypatch.context() as patched:
        patched.setattr(details, "all_of", fails)
        with pytest.raises(OSError, match="no descriptor left"):
            looks.details(own())
    assert looks.details(own()) is not None


def test_a_look_that_hangs_holds_nobody_up(looks: Looks, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits is told so after a while; others look by another thread; the loop goes round all the time."""
    monkeypatch.setattr(module, "PATIENCE", 0.3)
    go_on = threading.Event()
    turns = 0

    def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            gevent.sleep(0.01)

    counter = gevent.spawn(count)
    try:
        with monkeypatch.context() as patched:
            patched.setattr(details, "all_of", lambda identity: go_on.wait(30))
            with pytest.raises(Failed, match="has not told"):
                looks.details(own())
        assert turns > 5
        assert looks.details(own()) is not None
    finally:
        go_on.set()
        counter.kill()


def test_looks_that_wait_have_an_end(looks: Looks, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a look that hangs only so many are taken; the others are refused at once."""
    monkeypatch.setattr(module, "MOST_WAITING", 3)
    go_on = threading.Event()
    monkeypatch.setattr(details, "all_of", lambda identity: go_on.wait(30) and {"done": True})
    waiting = [gevent.spawn(looks.details, own()) for _ in range(3)]
    until(lambda: len(looks._begun) == 3)
    with pytest.raises(Conflict, match="wait already"):
        looks.details(own())
    go_on.set()
    gevent.joinall(waiting, timeout=10)
    assert [one.value for one in waiting] == [{"done": True}] * 3


def test_too_many_stuck_threads_are_not_made_more(looks: Looks, monkeypatch: pytest.MonkeyPatch) -> None:
    """After some that hang there are no more looks, and that is said."""
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    monkeypatch.setattr(module, "MOST_THREADS", 2)
    go_on = threading.Event()
    monkeypatch.setattr(details, "all_of", lambda identity: go_on.wait(30))
    before = threading.active_count()
    try:
        for _ in range(3):
            with pytest.raises(Failed, match="has not told"):
                looks.details(own())
        with pytest.raises(Failed, match="stuck in the kernel"):
            looks.details(own())
        assert threading.active_count() == before + 3
        go_on.set()
        # What hung goes on: there may be looks again.
        eventually(lambda: has_looked(looks), sleep=gevent.sleep)
    finally:
        go_on.set()
        eventually(lambda: threading.active_count() <= before + 1, sleep=gevent.sleep)
