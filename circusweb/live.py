"""The live connection of each page: what the daemon pushes goes on in batches, and never faster than the page takes it.

Every batch is acknowledged by the page; only what has been acknowledged is given back to the daemon as credit. So the
most that one page can cost is its credit, in the daemon, here and on the way, and a page that stands still is let go.
"""

from __future__ import annotations

import logging
import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs

import gevent
import socketio
from engineio.payload import Payload
from gevent.event import Event

from circusd.schema.errors import BadRequest, CircusError, NoSession, Unavailable
from circusd.schema.wire import escape_name

from .auth import Credential, Person, session_of
from .bridge import Bridge, Follow, status_of
from .faults import alone
from .gate import FRAME_LIMIT_BYTES, Refused
from .outputs import END, Log, Outputs

log = logging.getLogger("circushttpd.live")

BEAT = 0.08
"""Seconds between two batches to one page."""

STATE_CREDIT = 1 << 20
"""Bytes of state, load and events on their way to one page: a snapshot of many watchers is one push."""

STALLED_SECONDS = 30.0
"""After so long without an acknowledgement a page is let go."""

BACKLOG_LIMIT_BYTES = 1 << 23
"""More than this is never kept for one page, whatever the daemon sends."""

UP_SECONDS = 2.0
"""For how long a page that comes back waits for a daemon that comes back too."""

PANES = 16
"""Logs that one page may follow at once."""

LINES_LIMIT = 20_000
"""Lines of history that a page may ask for."""

PING_SECONDS, PONG_SECONDS = 8, 12

_PATH = re.compile(r"/d/([^/]+)/live/?")

EVENT_PACKET = 2
"""The number of an event in socket.io's format."""

BASE = 0
"""The key of the stream that each page has."""


class Viewer:
    """One page of one person, from its connection to its end."""

    def __init__(self, live: Live, sid: str, person: Person, bridge: Bridge) -> None:
        self.sid = sid
        self.person = person
        self._live = live
        self._bridge = bridge
        self._base: Follow | None = None
        self._panes: dict[int, Log] = {}
        self._outbox: list[str] = []
        self._outbox_bytes = 0
        self._owed: dict[Follow | Log, int] = {}
        self._sent: deque[tuple[int, dict[Follow | Log, int], float]] = deque()
        self._sequence = 0
        self._told_up = False
        self._lost = Event()
        self.gone = False
        self._keeper = gevent.spawn(self._keep)

    # -- from the daemon -------------------------------------------------------------------------------------------

    def _keep(self) -> None:
        """Follow the state for as long as the page is there, also over the daemon's restarts."""
        told_down = False
        while not self.gone:
            self._lost.clear()
            try:
                self._base = self._follow_base()
            except CircusError as problem:
                if problem.code == NoSession.code:
                    self._live.end(self, "over")
                    return
                if not told_down:
                    told_down = True
                    self._tell("down", str(problem))
                self._bridge.up.wait(0.5)
                gevent.sleep(0.1)
                continue
            told_down = False
            self._tell("up", {"assets": self._live.assets_version, "daemon": self._bridge.name})
            self._told_up = True
            self._live.due(self)
            self._lost.wait()
            # What has ended it may end the next one just as soon.
            gevent.sleep(BEAT)

    def _follow_base(self) -> Follow:
        box: list[Follow] = []
        early: list[tuple[str, str, int]] = []

        def take(topic: str, data: str, size: int) -> None:
            if not box:
                early.append((topic, data, size))
            elif topic == END:
                self._bridge.forget(box[0].id)
                self._lost_base(NoSession("the session is over"))
            else:
                self._put(box[0], BASE, topic, data, size)

        follow = self._bridge.follow(
            ("state.", "load.", "event."),
            session=self.person.session,
            credit=STATE_CREDIT,
            take=take,
            ended=self._lost_base,
        )
        if self.gone:
            # The page left while the daemon was asked, and `leave` did not know of this stream.
            follow.close()
            raise Unavailable("the page is gone")
        box.append(follow)
        for push in early:
            take(*push)
        return follow

    def _put(self, owner: Follow | Log, key: int, topic: str, data: str, size: int) -> None:
        """A push is on its way to the page."""
        self._outbox.append(f"[{key},{topic},{data}]")
        self._outbox_bytes += size
        self._owed[owner] = self._owed.get(owner, 0) + size
        if self._outbox_bytes > BACKLOG_LIMIT_BYTES:
            self._live.end(self, "")
        self._live.due(self)

    def _lost_base(self, problem: CircusError) -> None:
        self._base = None
        self._told_up = False
        for log_of_page in self._panes.values():
            log_of_page.close()
        self._panes.clear()
        self._lost.set()

    # -- to the page -----------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """What waits is on its way to the page, as one batch."""
        if self.gone or not self._outbox or not self._told_up:
            return
        batch = ",".join(self._outbox)
        owed = self._owed
        self._outbox, self._outbox_bytes, self._owed = [], 0, {}
        self._sequence += 1
        self._sent.append((self._sequence, owed, time.monotonic()))
        self._live.emit_live(self.sid, f'["live",{self._sequence},[{batch}]]')

    def _tell(self, event: str, *data: Any) -> None:
        if not self.gone:
            self._live.emit(self.sid, event, data)

    def acknowledged(self, sequence: int) -> None:
        """The page has shown everything up to that batch."""
        now = time.monotonic()
        while self._sent and self._sent[0][0] <= sequence:
            for owner, size in self._sent.popleft()[1].items():
                owner.spent(size)
        if self._sent:
            # Progress: the time of what is still on its way counts from here.
            number, owed, _ = self._sent[0]
            self._sent[0] = (number, owed, now)

    def is_stalled(self, now: float) -> bool:
        """Whether it has not acknowledged anything for too long."""
        return bool(self._sent) and now - self._sent[0][2] > STALLED_SECONDS

    def open(self, key: int, watchers: Sequence[str] | None, lines: int) -> None:
        """The log of these watchers (None: of all) comes under that key. Raises CircusError."""
        self.close(key)
        if len(self._panes) >= PANES:
            raise BadRequest(f"a page follows at most {PANES} logs at once")

        def ended(problem: CircusError) -> None:
            self._panes.pop(key, None)
            # Where the connection or the session is gone, the page is told once for all that it follows.
            if not isinstance(problem, Unavailable | NoSession):
                self._tell("ended", key, problem.as_dict())

        topics = ["output."] if watchers is None else [f"output.{escape_name(name)}." for name in watchers]
        if not topics:
            return

        def take(topic: str, data: str, size: int) -> None:
            self._put(followed, key, topic, data, size)

        followed = self._live.outputs.log(self._bridge, self.person, topics, take, ended)
        self._panes[key] = followed
        try:
            followed.open(lines)
        except BaseException:
            self._panes.pop(key, None)
            raise

    def close(self, key: int) -> None:
        """Nothing more comes under that key."""
        followed = self._panes.pop(key, None)
        if followed is not None:
            followed.close()

    def leave(self) -> None:
        """The page is gone; the daemon is told to send no more. Leaving again does nothing."""
        if self.gone:
            return
        self.gone = True
        for pane in self._panes.values():
            pane.close()
        if self._base is not None:
            self._base.close()
        self._panes.clear()
        self._base = None
        self._lost.set()
        if self._keeper is not gevent.getcurrent():
            self._keeper.kill(block=False)


class Live:
    """All pages that are open now."""

    def __init__(
        self,
        bridges: Mapping[str, Bridge],
        person_of: Callable[[Bridge, Credential], Person],
        assets_version: str,
    ) -> None:
        self.assets_version = assets_version
        self.outputs = Outputs()
        self._bridges = bridges
        self._person_of = person_of
        self._viewers: dict[str, Viewer] = {}
        self._sessions: dict[str, str] = {}
        # A browser's acknowledgements come one by one in a single POST where there is no WebSocket.
        Payload.max_decode_packets = 64
        quiet = logging.getLogger("circushttpd.socketio")
        quiet.setLevel(logging.CRITICAL)
        self._server = socketio.Server(
            async_mode="gevent",
            async_handlers=False,
            # Switched off there, as `gate` has looked at host and origin already, and by a stricter rule.
            cors_allowed_origins=[],
            ping_interval=PING_SECONDS,
            ping_timeout=PONG_SECONDS,
            max_http_buffer_size=FRAME_LIMIT_BYTES,
            logger=quiet,
            engineio_logger=quiet,
        )
        for event, handler in (
            ("connect", self._on_connect),
            ("disconnect", self._on_disconnect),
            ("ack", self._on_ack),
            ("open", self._on_open),
            ("close", self._on_close),
            ("probe", self._on_probe),
        ):
            self._server.on(event, handler)
        self._due: dict[Viewer, None] = {}
        self._wake = Event()
        self._greenlets = [gevent.spawn(self._sweep), gevent.spawn(self._write)]

    # -- requests --------------------------------------------------------------------------------------------------

    @property
    def pages(self) -> int:
        """How many pages are open."""
        return len(self._viewers)

    @staticmethod
    def is_live(environ: Mapping[str, Any]) -> bool:
        """Whether a request belongs to a live connection."""
        return _PATH.fullmatch(environ.get("PATH_INFO", "")) is not None

    def admit(self, environ: dict[str, Any]) -> None:
        """The request has a session that counts, and it is the one that the connection began with; else Refused."""
        match = _PATH.fullmatch(environ.get("PATH_INFO", ""))
        bridge = self._bridges.get(match[1]) if match else None
        if bridge is None:
            raise Refused("404 Not Found", "there is no live connection at this address")
        session = session_of(environ)
        if not session:
            raise Refused("401 Unauthorized", "a session is needed: log in")
        query = parse_qs(environ.get("QUERY_STRING", ""))
        known = self._sessions.get(query["sid"][0]) if "sid" in query else None
        if known is not None:
            if known != session:
                raise Refused("401 Unauthorized", "this connection belongs to another session")
            return
        bridge.up.wait(UP_SECONDS)
        try:
            person = self._person_of(bridge, session)
        except CircusError as problem:
            status = status_of(problem)
            word = {401: "Unauthorized", 403: "Forbidden"}.get(status, "Service Unavailable")
            raise Refused(f"{status if status in (401, 403) else 503} {word}", str(problem)) from None
        environ["circus.person"] = person
        environ["circus.bridge"] = bridge

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """The WSGI application of live connections."""
        answer: Iterable[bytes] = self._server.handle_request(environ, start_response)
        return answer

    # -- what pages say --------------------------------------------------------------------------------------------

    def _on_connect(self, sid: str, environ: dict[str, Any], auth: Any = None) -> bool:
        person, bridge = environ.get("circus.person"), environ.get("circus.bridge")
        if not isinstance(person, Person) or not isinstance(bridge, Bridge):
            return False
        self._sessions[self._eio(sid)] = person.session
        self._viewers[sid] = Viewer(self, sid, person, bridge)
        return True

    def _on_disconnect(self, sid: str, reason: Any = None) -> None:
        viewer = self._viewers.pop(sid, None)
        if viewer is not None:
            viewer.leave()
        known = set(self._server.eio.sockets)
        for eio_sid in [eio_sid for eio_sid in self._sessions if eio_sid not in known]:
            del self._sessions[eio_sid]

    def _on_ack(self, sid: str, sequence: Any = None) -> None:
        viewer = self._viewers.get(sid)
        if viewer is not None and isinstance(sequence, int):
            viewer.acknowledged(sequence)

    def _on_open(self, sid: str, asked: Any = None) -> dict[str, Any] | None:
        viewer = self._viewers.get(sid)
        if viewer is None:
            return None
        try:
            if not isinstance(asked, dict):
                raise BadRequest("key, watchers and lines are needed")
            key, watchers, lines = asked.get("key"), asked.get("watchers"), asked.get("lines", 0)
            if not isinstance(key, int) or key <= BASE or not isinstance(lines, int):
                raise BadRequest("key and lines are numbers")
            if watchers is not None and not (
                isinstance(watchers, list) and all(isinstance(name, str) for name in watchers)
            ):
                raise BadRequest("watchers are names, or null for all")
            viewer.open(key, watchers, max(0, min(lines, LINES_LIMIT)))
        except CircusError as problem:
            return problem.as_dict()
        return None

    def _on_close(self, sid: str, key: Any = None) -> None:
        viewer = self._viewers.get(sid)
        if viewer is not None and isinstance(key, int):
            viewer.close(key)

    def _on_probe(self, sid: str) -> None:
        """Answered at once: the page measures the way."""

    # -- ends --------------------------------------------------------------------------------------------------------

    def emit(self, sid: str, event: str, data: tuple[Any, ...]) -> None:
        """The event is on its way to that page."""
        self._server.emit(event, data, to=sid)

    def emit_live(self, sid: str, text: str) -> None:
        """The batch is on its way to that page: an event whose arguments are JSON already, by the one who has made it."""
        self._server.eio.send(self._eio(sid), f"{EVENT_PACKET}{text}")

    def due(self, viewer: Viewer) -> None:
        """There is something for that page."""
        self._due[viewer] = None
        self._wake.set()

    def _write(self) -> None:
        """All pages get their batches in one go: a greenlet and a timer for each would cost more than what they send."""
        while True:
            self._wake.wait()
            self._wake.clear()
            due, self._due = self._due, {}
            for viewer in due:
                if alone(f"batch for a page of {viewer.person.name!r}", viewer.flush):
                    self.end(viewer, "")
            gevent.sleep(BEAT)

    def end(self, viewer: Viewer, last_word: str) -> None:
        """That page gets no more; its connection is closed, also if it does not read."""
        if last_word:
            self.emit(viewer.sid, last_word, ())
        gevent.spawn(self._drop, viewer)

    def _drop(self, viewer: Viewer) -> None:
        eio = self._server.eio.sockets.get(self._eio(viewer.sid))
        # What waits in its queue gets a moment to go out; a page that does not read is not waited for.
        gevent.sleep(BEAT)
        self._on_disconnect(viewer.sid)
        if eio is not None:
            eio.close(wait=False, abort=True)

    def end_session(self, session: str) -> None:
        """All pages of that session are closed: somebody has logged out."""
        for viewer in [viewer for viewer in self._viewers.values() if viewer.person.session == session]:
            self.end(viewer, "over")

    def close(self) -> None:
        """All pages are closed; they come back when there is a console again."""
        gevent.killall(self._greenlets)
        for viewer in list(self._viewers.values()):
            viewer.leave()
        for eio in list(self._server.eio.sockets.values()):
            eio.close(wait=False, abort=True)

    def _eio(self, sid: str) -> str:
        return str(self._server.manager.eio_sid_from_sid(sid, "/"))

    def _sweep(self) -> None:
        while True:
            gevent.sleep(STALLED_SECONDS / 6)
            now = time.monotonic()
            for viewer in [viewer for viewer in self._viewers.values() if viewer.is_stalled(now)]:
                log.warning(
                    "a page of %s has taken nothing for %g s and is let go",
                    viewer.person.name,
                    STALLED_SECONDS,
                )
                self.end(viewer, "")
