"""The leak check sees each kind of thing that a test can leave behind."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import greenlet

from tests.leaks import holdings
from tests.waiting import eventually


def test_descriptor_is_seen() -> None:
    """An open descriptor is named with its target."""
    before = holdings(green=False)
    fd = os.open("/dev/null", os.O_RDONLY)
    try:
        assert holdings(green=False).more_than(before) == [f"descriptor {fd} -> /dev/null"]
    finally:
        os.close(fd)
    assert holdings(green=False).more_than(before) == []


def test_thread_is_seen() -> None:
    """A thread that still runs is named."""
    before = holdings(green=False)
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait, name="straggler")
    thread.start()
    try:
        assert holdings(green=False).more_than(before) == [f"thread {thread.native_id} (straggler)"]
    finally:
        stop.set()
        thread.join()


def test_child_and_zombie_are_seen() -> None:
    """A child is named with its command; when it has ended unwaited, as a zombie."""
    before = holdings(green=False)
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    with subprocess.Popen(command) as child:
        try:
            seen = [line for line in holdings(green=False).more_than(before) if line.startswith("child")]
            assert len(seen) == 1 and seen[0].startswith(f"child {child.pid} (")
            child.kill()
            eventually(lambda: f"child {child.pid} (zombie)" in holdings(green=False).more_than(before))
        finally:
            child.kill()


def test_greenlet_is_seen() -> None:
    """A greenlet that was started and has not ended is named."""
    before = holdings(green=True)
    started = greenlet.greenlet(lambda: greenlet.getcurrent().parent.switch())
    started.switch()
    assert holdings(green=True).more_than(before) == [f"greenlet {started!r}"]
    started.switch()
    assert holdings(green=True).more_than(before) == []
