"""Addresses outside that starts wait for: looked at again and again until they answer, each by one greenlet for all that wait."""

from __future__ import annotations

import socket as plain
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import gevent
from gevent import socket
from gevent.event import Event
from gevent.threadpool import ThreadPool

from circusd.core.outside import Asked
from circusd.schema.probe_values import Target, target_of

from . import clock
from .notifications import one_line
from .probes import connected, reached

LOOK_UPS = 2
"""Names that are looked up at a time: a name service that hangs holds up no other thread of the daemon's."""
LEAST = 0.05
"""Seconds between two looks, whatever is asked for."""


MOST = 32
"""Addresses that are looked at by the way, for one who asks,"""
MOST_SECONDS = 2.0
"""and for no longer."""
MOMENT = 1.0
"""Seconds for which a look by the way is taken for the state of now."""


class _Address:
    """What is known of one."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.interval = self.timeout = 0.0
        self.problem = ""
        self.count = 0
        self.next: float | None = None
        self.answered: float | None = None
        self.is_wanted = False
        self.is_looked_at = False
        self.checked: float | None = None
        self.now = Event()
        """Set when the next look is not to wait."""


class Outside:
    """All addresses that starts have waited for, as long as a watcher has them among its needs."""

    def __init__(self, told: Callable[[], None]) -> None:
        """``told`` is called, in the hub's turn or in a greenlet, when there is something new about one."""
        self._told = told
        self._known: dict[str, _Address] = {}
        self._pool: ThreadPool | None = None
        self._looked_up: dict[tuple[str, int], Any] = {}
        self._greenlets: set[Any] = set()
        self._is_closed = False

    def begin(self, text: str, interval: float, timeout: float) -> None:
        """Somebody waits for the address from now on: it is looked at at once."""
        one = self._known.setdefault(text, _Address(text))
        if not one.is_wanted:
            one.count, one.problem = 0, ""
            one.interval, one.timeout = interval, timeout
        one.interval, one.timeout = min(one.interval, interval), max(one.timeout, timeout)
        one.is_wanted = True
        one.now.set()
        if not one.is_looked_at:
            one.is_looked_at = True
            greenlet = gevent.spawn(self._look, one)
            self._greenlets.add(greenlet)
            greenlet.rawlink(self._greenlets.discard)

    def silent(self, limits: Mapping[str, float]) -> dict[str, str]:
        """Those of these addresses that do not answer now, and why; each has so many seconds for that, and `MOST_SECONDS` at most.

        Looks by the way, on which no start depends: of many addresses only the first ones are looked at.
        """
        found: dict[str, str] = {}

        def look(text: str, timeout: float) -> None:
            if problem := self._check(text, timeout):
                found[text] = problem

        chosen = list(limits.items())[:MOST]
        gevent.joinall([gevent.spawn(look, text, min(limit, MOST_SECONDS)) for text, limit in chosen])
        return {text: found[text] for text in limits if text in found}

    def _check(self, text: str, timeout: float) -> str:
        one = self._known.setdefault(text, _Address(text))
        now = clock.now()
        if not one.is_wanted and (one.checked is None or now >= one.checked + MOMENT):
            one.checked, one.timeout = now, timeout
            one.problem = one_line(self._problem(one))
            one.count += 1
            if not one.problem:
                one.answered = clock.now()
        return one.problem

    def has_answered(self, text: str, since: float) -> bool:
        """Whether it has since then."""
        one = self._known.get(text)
        return one is not None and one.answered is not None and one.answered >= since

    def asked(self, text: str) -> Asked:
        """How it goes with it."""
        one = self._known.get(text)
        return Asked(text, "", 0, None) if one is None else Asked(text, one.problem, one.count, one.next)

    def answered(self, text: str) -> float | None:
        """When it has answered last (monotonic)."""
        one = self._known.get(text)
        return None if one is None else one.answered

    def want(self, texts: Collection[str]) -> None:
        """Nobody waits for any other."""
        for text, one in self._known.items():
            one.is_wanted = text in texts
            if not one.is_wanted:
                one.now.set()

    def keep(self, texts: Iterable[str]) -> None:
        """What is known of others is forgotten."""
        kept = set(texts)
        self._known = {t: one for t, one in self._known.items() if t in kept or one.is_looked_at}

    def close(self) -> None:
        """Nothing is looked at any more."""
        gevent.killall(list(self._greenlets), block=False)
        self._is_closed = True
        self._end_threads()

    def _end_threads(self) -> None:
        # The pool would wait for a name service that hangs; its threads end with the process, or with the answer.
        if self._is_closed and self._pool is not None and not self._looked_up:
            self._pool.kill()
            self._pool = None

    # -- looking -------------------------------------------------------------------------------------------------

    def _look(self, one: _Address) -> None:
        try:
            while one.is_wanted:
                one.now.clear()
                one.next = None
                problem = one_line(self._problem(one))
                one.count += 1
                one.problem = problem
                if not problem:
                    one.answered, one.is_wanted = clock.now(), False
                else:
                    one.next = clock.now() + one.interval
                self._told()
                if problem and one.is_wanted:
                    one.now.wait(max(one.interval, LEAST))
        finally:
            one.is_looked_at, one.next = False, None

    def _problem(self, one: _Address) -> str:
        target = target_of(one.text)
        problem = reached(target, one.timeout, self._connect)
        return problem[:1].lower() + problem[1:] if problem[1:2].islower() else problem

    def _connect(self, target: Target) -> Any:
        if target.scheme == "unix":
            return connected(socket.AF_UNIX, target.path)
        problem: OSError = OSError("its name has no address")
        for family, address in self._addresses(target.host, target.port):
            try:
                return connected(family, address)
            except OSError as error:
                problem = error
        raise problem

    def _addresses(self, host: str, port: int) -> list[tuple[int, Any]]:
        """Raises OSError. A look-up that is under way is waited for, and no second one begun."""
        found: Any = _look_up(host, port, plain.AI_NUMERICHOST)
        if not isinstance(found, str):
            return list(found)
        pending = self._looked_up.get((host, port))
        if pending is None:
            if self._pool is None:
                self._pool = ThreadPool(LOOK_UPS)
            pending = self._looked_up[host, port] = self._pool.spawn(_look_up, host, port)
            pending.rawlink(lambda done: self._has_looked_up(host, port))
        found = pending.get()
        if isinstance(found, str):
            raise OSError(found)
        return list(found)

    def _has_looked_up(self, host: str, port: int) -> None:
        self._looked_up.pop((host, port), None)
        self._end_threads()


def _look_up(host: str, port: int, flags: int = 0) -> list[tuple[int, Any]] | str:
    # In a thread, but for numbers. What is wrong is handed over and not raised: gevent's pool prints what its functions raise.
    try:
        found = plain.getaddrinfo(host, port, type=plain.SOCK_STREAM, flags=flags)
    except (OSError, UnicodeError) as error:
        return (error.strerror if isinstance(error, OSError) else "") or str(error)
    return [(family, address) for family, _, _, _, address in found]
