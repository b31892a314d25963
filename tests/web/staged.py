"""A daemon on a stage: it speaks the wire, has sessions, and shows what a test puts there, also what no real one does."""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import zmq

from circusd.schema.wire import escape_name

TOKEN = "one-time-token-of-the-stage"
SESSIONS = {"session-of-an-admin": "admin", "session-of-a-viewer": "viewer"}
ADMIN, VIEWER = SESSIONS


@dataclass
class Stream:
    """One followed stream, with what may still be sent on it."""

    peer: bytes
    id: Any
    topics: tuple[str, ...]
    credit: int
    skipped: int = 0
    sent: int = 0
    session: str = ""


def process(wid: int, state: str = "running", pid: int | None = None, **more: Any) -> dict[str, Any]:
    """A process as ``inspect`` shows it."""
    now = time.time()
    alive = state in ("running", "ready", "frozen", "starting", "stopping")
    return {
        "wid": wid,
        "pid": (pid or 20000 + wid) if alive else None,
        "state": state,
        "reason": "",
        "since": now - 60,
        "started": now - 3725 if alive else None,
        "starts": 1,
        "attempts": 0,
        "next_try": None,
        "main_pid": None,
        "awaits": "",
        "ready_by": None,
        "said": "",
        "replaced": "",
        "health": None,
        "side": "",
        "stdin": None,
        "frozen_by": "",
        "thaw_at": None,
        "stop_by": None,
        "exit": None,
        **more,
    }


def watcher(
    name: str,
    processes: Iterable[dict[str, Any]] = (),
    *,
    status: str = "active",
    state: str = "running",
    **more: Any,
) -> dict[str, Any]:
    """A watcher as ``inspect`` shows it."""
    listed = list(processes)
    return {
        "name": name,
        "kind": "watcher",
        "state": state,
        "status": status,
        "detail": "",
        "explain": f"All {len(listed)} processes run.",
        "cmd": f"python -m {name}",
        "numprocesses": len(listed),
        "singleton": False,
        "autostart": True,
        "priority": 0,
        "tags": [],
        "sockets": [],
        "restarts": 0,
        "last_event": {"time": time.time() - 90, "text": "1 started, pid 20001", "event": "process.started"},
        "job": None,
        "setback": "",
        "crash": None,
        "watched": None,
        "output": {"captured": True, "why": ""},
        "processes": listed,
        **more,
    }


@dataclass
class StagedDaemon:
    """Start it, set ``watchers``, and `push`."""

    endpoint: str
    watchers: dict[str, dict[str, Any]] = field(default_factory=dict)
    lead: dict[str, str] = field(
        default_factory=lambda: {"title": "All is well", "text": "", "level": "calm"}
    )
    sockets: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    history: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """By watcher: the data of pushes that come first when its output is followed."""
    answers: dict[str, Callable[[dict[str, Any]], dict[str, Any] | None]] = field(default_factory=dict)
    """By command: what is answered; None leaves the request without an answer."""
    requests: list[dict[str, Any]] = field(default_factory=list)
    streams: list[Stream] = field(default_factory=list)
    gather: dict[str, int] = field(default_factory=dict)
    """By command: nothing is answered before so many requests for it are there."""
    takes_anybody: bool = False
    """It answers whoever asks, as an endpoint does that goes by the user of the connection."""
    loads: bool = True
    epoch: str = "1-1"

    def start(self) -> StagedDaemon:
        """It listens."""
        self._todo: queue.Queue[Callable[[], None]] = queue.Queue()
        self._over = threading.Event()
        self._gathered: list[tuple[bytes, dict[str, Any]]] = []
        ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(ready,), name="staged daemon")
        self._thread.start()
        assert ready.wait(5)
        return self

    def stop(self) -> None:
        """It is gone, with all connections."""
        self._over.set()
        self._thread.join(10)
        self.streams.clear()

    @property
    def waiting(self) -> int:
        """How many requests wait until enough of their kind are there."""
        return len(self._gathered)

    def asked(self, command: str) -> list[dict[str, Any]]:
        """Properties of the requests for that command, in their order."""
        return [row.get("properties", {}) for row in list(self.requests) if row["command"] == command]

    def push(self, topic: str, data: dict[str, Any]) -> None:
        """The push goes to whoever follows the topic and has credit left; safe from any thread."""
        self._todo.put(lambda: self._push(topic, data))

    def change(self, changed: dict[str, Any], **more: Any) -> None:
        """A watcher looks different now, and everybody who watches is told."""
        self.watchers[changed["name"]] = changed
        self.push("state.", {"watcher": changed, **more})

    def write(
        self, name: str, lines: Iterable[tuple[int, str]], *, wid: int = 1, stream: str = "stdout"
    ) -> None:
        """The watcher's process writes numbered lines."""
        now = time.time()
        listed = [[number, now, text] for number, text in lines]
        data = {
            "watcher": name,
            "wid": wid,
            "stream": stream,
            "pid": 20000 + wid,
            "lines": listed,
            "skipped": 0,
        }
        self.push(f"output.{escape_name(name)}.", data)

    def end(self, stream: Stream) -> None:
        """The stream is ended from this side, and told so; safe from any thread."""

        def end() -> None:
            self.streams.remove(stream)
            self._send_push(stream, "end.", {"reason": "over"})

        self._todo.put(end)

    def snapshot(self) -> dict[str, Any]:
        now = time.time()
        daemon = {
            "name": "stage", "pid": 4711, "version": "0.1.0", "started": now - 86400 * 12, "time": now, "epoch": self.epoch,
            "host": "lab-4", "cores": 8, "memory_total": 16 << 30, "endpoints": {}, "httpd": None, "lag": 0.0003,
        }  # fmt: skip
        return {
            "daemon": daemon,
            "lead": self.lead,
            "watchers": list(self.watchers.values()),
            "sockets": self.sockets,
        }

    def load(self) -> dict[str, Any]:
        loads = {}
        for name, shown in self.watchers.items():
            rows = {str(p["wid"]): [5.0 * p["wid"], 64 << 20] for p in shown["processes"] if p["pid"]}
            loads[name] = {
                "cpu": sum(r[0] for r in rows.values()),
                "rss": (64 << 20) * len(rows),
                "lines": 2.5 * len(rows),
                "processes": rows,
            }
        return {
            "time": time.time(),
            "watchers": loads,
            "host": {"cpu": 12.5, "memory": 3 << 30, "load": [0.42, 0.31, 0.2]},
            "daemon": {
                "cpu": 0.5,
                "rss": 40 << 20,
                "lag": 0.0003,
                "loop": {"p50": 0.0, "p99": 0.0003, "max": 0.0042, "window": 60.0},
                "lines": sum(load["lines"] for load in loads.values()),
            },
        }

    # -- the thread ------------------------------------------------------------------------------------------------

    def _serve(self, ready: threading.Event) -> None:
        context = zmq.Context()
        self._router = context.socket(zmq.ROUTER)
        self._router.setsockopt(zmq.SNDHWM, 0)
        self._router.bind(self.endpoint)
        ready.set()
        next_load = time.monotonic() + 0.2
        while not self._over.is_set():
            if self._router.poll(5):
                peer, frame = self._router.recv_multipart()
                self._gather(peer, json.loads(frame))
            while not self._todo.empty():
                self._todo.get()()
            if self.loads and time.monotonic() >= next_load:
                next_load += 1
                self._push("load.", self.load())
        self._router.close(0)
        context.destroy(0)

    def _gather(self, peer: bytes, request: dict[str, Any]) -> None:
        wanted = self.gather.get(request["command"], 0)
        if not wanted:
            self._request(peer, request)
            return
        self._gathered.append((peer, request))
        if len(self._gathered) >= wanted:
            self.gather.clear()
            gathered, self._gathered = self._gathered, []
            for waiting in gathered:
                self._request(*waiting)

    def _request(self, peer: bytes, request: dict[str, Any]) -> None:
        self.requests.append(request)
        command, properties = request["command"], request.get("properties", {})
        reply = self._answer(command, properties, request.get("session", ""), peer, request)
        if reply is not None and request.get("msg_type") != "cast":
            self._send(peer, {"status": "ok", "time": time.time(), **reply, "id": request.get("id")})
        if command == "follow" and reply is not None and reply.get("status") != "error":
            self._begin(self.streams[-1], properties)

    def _answer(
        self, command: str, properties: dict[str, Any], session: str, peer: bytes, request: dict[str, Any]
    ) -> dict[str, Any] | None:
        if command == "redeem":
            if properties.get("token") != TOKEN:
                return refused("denied", "the link was used already, or is too old")
            return {"session": ADMIN, "person": "ana", "role": "admin", "expires": time.time() + 3600}
        if self.takes_anybody and command == "whoami":
            return {"person": "uid 0", "role": "admin", "expires": None}
        if session not in SESSIONS:
            return refused("no_session", "the session is over")
        if command == "whoami":
            return {
                "person": "ana" if session == ADMIN else "ben",
                "role": SESSIONS[session],
                "expires": None,
            }
        if command in self.answers:
            return self.answers[command](properties)
        if command == "follow":
            topics = tuple(properties["topics"])
            self.streams.append(Stream(peer, request["id"], topics, properties["credit"], session=session))
            return {}
        if command == "credit":
            for stream in self.streams:
                if stream.id == properties["followed"]:
                    stream.credit += properties["bytes"]
        if command == "unfollow":
            self.streams = [stream for stream in self.streams if stream.id != properties["followed"]]
        if command == "events":
            return {"events": self.events}
        if command == "inspect":
            return self.snapshot()
        if command == "output":
            return {"lines": [], "older": None, "newer": None}
        return {}

    def _begin(self, stream: Stream, properties: dict[str, Any]) -> None:
        if "state." in stream.topics:
            self._send_push(stream, "state.", {"snapshot": self.snapshot()})
        for name, pushes in self.history.items():
            topic = f"output.{escape_name(name)}."
            if topic in stream.topics or "output." in stream.topics:
                for data in pushes:
                    self._send_push(stream, topic, {**data, "past": True})

    def _push(self, topic: str, data: dict[str, Any]) -> None:
        for stream in self.streams:
            if topic in stream.topics or (topic.startswith("output.") and "output." in stream.topics):
                if topic.startswith("output.") and stream.skipped:
                    data = {**data, "skipped": stream.skipped}
                if stream.credit <= 0:
                    stream.skipped += len(data.get("lines", ()))
                else:
                    stream.skipped = 0
                    self._send_push(stream, topic, data)

    def _send_push(self, stream: Stream, topic: str, data: dict[str, Any]) -> None:
        size = self._send(stream.peer, {"id": stream.id, "push": topic, "data": data})
        stream.credit -= size
        stream.sent += size

    def _send(self, peer: bytes, message: dict[str, Any]) -> int:
        frame = json.dumps(message, separators=(",", ":")).encode("ascii")
        self._router.send_multipart([peer, frame])
        return len(frame)


def refused(code: str, text: str) -> dict[str, Any]:
    """An error reply."""
    return {"status": "error", "reason": text, "errno": 5, "error": {"code": code, "text": text, "hint": ""}}
