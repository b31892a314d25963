"""Addresses outside that are looked at: a name service that hangs holds up nobody else."""

from __future__ import annotations

import socket
import sys
import threading
import traceback
from collections.abc import Iterator
from typing import Any

import gevent
import pytest

from circusd.core.outside import Asked, with_looks
from circusd.runtime.outside import Outside
from tests.ports import free_port
from tests.waiting import eventually


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names that were looked up so far; none of them is answered before the end."""
    asked: list[str] = []
    over = threading.Event()
    real = socket.getaddrinfo

    def getaddrinfo(host: str, port: int, *args: Any, flags: int = 0, **more: Any) -> Any:
        if flags:
            return real(host, port, *args, flags=flags, **more)
        asked.append(host)
        over.wait()
        raise OSError("it was slow")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield asked
    over.set()
    eventually(lambda: not threads(), sleep=gevent.sleep, what="its threads are gone")


def threads() -> list[str]:
    """The native threads that look names up."""
    frames = [frame for first in sys._current_frames().values() for frame, _ in traceback.walk_stack(first)]
    return [frame.f_code.co_name for frame in frames if frame.f_code.co_name == "_look_up"]


def test_a_name_that_is_looked_up_for_long_holds_nobody_up(hanging: list[str]) -> None:
    """It is looked up once however often its address is asked; an address in numbers answers meanwhile."""
    outside = Outside(lambda: None)
    slow = [f"tcp://slow-{n}.example:1" for n in range(3)]
    try:
        for address in slow:
            outside.begin(address, 0.05, 0.05)
        eventually(
            lambda: all(outside.asked(a).times >= 3 for a in slow),
            sleep=gevent.sleep,
            what="three looks each",
        )
        assert {outside.asked(a).problem for a in slow} == {"no answer within 0.05 s"}
        assert len(set(hanging)) == len(hanging) <= 2
        with socket.create_server(("127.0.0.1", 0)) as there:
            address = f"tcp://127.0.0.1:{there.getsockname()[1]}"
            outside.begin(address, 0.05, 5)
            eventually(lambda: outside.has_answered(address, 0.0), sleep=gevent.sleep, what="it has answered")
        assert outside.asked(address).times == 1
        outside.want(())
        eventually(lambda: outside.asked(slow[0]).next is None, sleep=gevent.sleep, what="nobody looks")
    finally:
        outside.close()


def test_who_needs_none_leaves_nothing_behind() -> None:
    """An address is known as long as somebody has it among his needs."""
    outside = Outside(lambda: None)
    address = f"tcp://127.0.0.1:{free_port()}"
    outside.begin(address, 0.05, 1)
    eventually(lambda: outside.asked(address).problem == "connection refused", sleep=gevent.sleep)
    outside.want(())

    def is_forgotten() -> bool:
        outside.keep(())
        return outside.asked(address).times == 0

    eventually(is_forgotten, sleep=gevent.sleep, what="it is forgotten")
    outside.close()


def test_looks_are_told_in_words() -> None:
    """Each in the place of its address; the first look that is not over yet says nothing."""
    gate = "tcp://a:1 to answer, and for db to be ready, which is starting, and for unix:/x to answer"
    asked = [Asked("tcp://a:1", "connection refused", 1, 12.0), Asked("unix:/x", "", 0, None)]
    assert with_looks(gate, asked, 10.0, lambda s: f"{s:g} s") == (
        "tcp://a:1: connection refused, asked once, next in 2 s, and for db to be ready, which is starting, and for unix:/x to answer"
    )
    late = [Asked("tcp://a:1", "status 503", 12, None)]
    assert (
        with_looks("tcp://a:1 to answer", late, 0.0, str)
        == "tcp://a:1: status 503, asked 12 times, is looked at now"
    )
