"""What a staged daemon answers to the pages that ask: something of everything that they can show."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tests.web.staged import StagedDaemon, process, watcher

Answer = dict[str, Any]

DIFF = """--- /etc/circus.ini
+++ /etc/circus.ini
@@ -3,4 +3,4 @@
 cmd = sleep 1000
-numprocesses = 2
+numprocesses = 3
 copy_env = true
"""


def sockets() -> list[Answer]:
    """One of each family, one of them full."""
    held = [{"watcher": "web", "wid": 1, "pid": 20001}, {"watcher": "web", "wid": 2, "pid": 20002}]
    tcp = {"family": "AF_INET", "type": "SOCK_STREAM", "watchers": ["web"], "processes": held}
    return [
        {
            **tcp,
            "name": "api",
            "fd": 7,
            "backlog": 128,
            "host": "127.0.0.1",
            "port": 8001,
            "waiting": 2,
            "limit": 128,
            "dropped": 0,
            "connections": 12,
        },
        {
            **tcp,
            "name": "full",
            "fd": 8,
            "backlog": 8,
            "host": "::1",
            "port": 8002,
            "waiting": 8,
            "limit": 8,
            "dropped": 41,
            "connections": 4,
        },
        {
            "name": "local",
            "fd": 9,
            "backlog": 5,
            "path": "/run/app.sock",
            "family": "AF_UNIX",
            "type": "SOCK_STREAM",
            "watchers": [],
            "processes": [],
            "waiting": 0,
            "limit": 5,
            "dropped": None,
            "connections": 0,
        },
        {
            "name": "datagrams",
            "fd": 10,
            "backlog": 0,
            "host": "127.0.0.1",
            "port": 8125,
            "family": "AF_INET",
            "type": "SOCK_DGRAM",
            "watchers": ["web"],
            "processes": held,
            "waiting": 832,
            "limit": None,
            "dropped": 3,
            "connections": None,
        },
    ]


def plugins() -> list[Answer]:
    """One that hears, one that can't run."""
    now = time.time()
    door = {
        "door": "events",
        "channel": "events",
        "uid": 0,
        "pid": 20001,
        "role": "admin",
        "address": "unix",
        "since": now - 300,
        "sent": 5120,
        "queued": 0,
    }
    return [
        {
            "name": "notes",
            "watcher": "plugin:notes",
            "use": "my.notes.Notes",
            "about": "",
            "options": {"every": "30 s", "token": "********"},
            "status": "active",
            "pids": [20001],
            "restarts": 0,
            "doors": [door],
        },
        {
            "name": "broken",
            "watcher": "plugin:broken",
            "use": "circus.plugins.flapping.Flapping",
            "about": "Stops a watcher whose processes die again and again. Keys ``flapping.X`` count for one watcher.",
            "options": {"retry_in": "4"},
            "status": "active",
            "pids": [],
            "restarts": 4,
            "doors": [],
        },
    ]


def daemon() -> Answer:
    """Its doors with a client that does not read, and a plugin."""
    now = time.time()
    row = {
        "uid": 0,
        "user": "root",
        "pid": 4711,
        "watcher": "",
        "role": "admin",
        "address": "unix",
        "since": now - 20,
        "sent": 2048,
        "queued": 99000,
    }
    return {
        "name": "stage",
        "version": "0.1.0",
        "pid": 4711,
        "started": now - 86400,
        "lag": 0.0004,
        "loop": {"p50": 0.0, "p99": 0.0004, "max": 0.0125, "window": 60.0},
        "host": {"load": [0.42, 0.31, 0.2], "memory_total": 16 << 30, "memory_available": 13 << 30},
        "usage": {
            "rss": 40 << 20,
            "peak": 44 << 20,
            "swap": 0,
            "threads": 4,
            "cpu_seconds": 12.5,
            "descriptors": 900,
            "descriptors_limit": 1024,
        },
        "limits": [
            {"name": "nofile", "doc": "open files", "unit": "descriptors", "soft": 1024, "hard": None}
        ],
        "counters": {"connections": 3, "accepted": 80, "refused": 2},
        "configuration": {"path": "/etc/circus.ini", "files": ["/etc/circus.ini"]},
        "doors": [
            {
                "name": "commands",
                "channel": "commands",
                "endpoint": "ipc:///run/circus/commands.sock",
                "count": 1,
                "connections": [row],
            },
            {
                "name": "events",
                "channel": "events",
                "endpoint": "ipc:///run/circus/events.sock",
                "count": 1,
                "connections": [{**row, "watcher": "plugin:notes", "queued": 0}],
            },
            {
                "name": "stats",
                "channel": "stats",
                "endpoint": "ipc:///run/circus/stats.sock",
                "count": 0,
                "connections": [],
            },
            {
                "name": "web",
                "channel": "commands",
                "endpoint": "inherited",
                "count": 1,
                "connections": [
                    {
                        **row,
                        "uid": None,
                        "user": "",
                        "pid": None,
                        "role": None,
                        "address": "inherited",
                        "queued": 0,
                    }
                ],
            },
        ],
    }


def drift() -> Answer:
    """Something was changed here, something on disk, and there is a way back from the last save."""
    return {
        "path": "/etc/circus.ini",
        "files": ["/etc/circus.ini"],
        "changes": ["watcher web changed (numprocesses)"],
        "left": [],
        "on_disk": True,
        "problems": [],
        "last_save": {"time": time.time() - 3600, "files": ["/etc/circus.ini"], "problem": ""},
    }


def saved(properties: Answer) -> Answer:
    """A save that is shown, and one that is done."""
    reply = {
        "changes": ["watcher web changed (numprocesses)"],
        "files": ["/etc/circus.ini"],
        "diff": DIFF,
        "left": [],
        "digest": "d1",
    }
    return {**reply, "dry_run": True} if properties.get("dry_run") else reply


def reloaded(properties: Answer) -> Answer:
    """A plan of several steps."""
    step = {"subject": "watcher", "name": "late", "keys": [], "processes": 1}
    return {
        "summary": "1 watcher added",
        "plan": [
            {**step, "action": "add", "text": "watcher late: is added and started"},
            {**step, "action": "restart", "text": "watcher web: cmd; 2 processes are replaced"},
        ],
        "kept": [{**step, "action": "keep", "text": "watcher web: numprocesses stays 3"}],
        "warnings": ["circus.ini:7: a word that is probably not meant so"],
        "dry_run": bool(properties.get("dry_run")),
    }


def audit() -> Answer:
    """Done and not done, by a person and by a stranger."""
    now = time.time()
    return {
        "entries": [
            {
                "time": now - 90,
                "door": "commands",
                "uid": 1000,
                "from": "127.0.0.1:5000",
                "result": "refused",
                "reason": "it belongs to another user",
                "count": 12,
            },
            {
                "time": now - 60,
                "person": "ana",
                "uid": 0,
                "role": "admin",
                "door": "web",
                "command": "set",
                "watcher": "web",
                "keys": ["env"],
                "result": "ok",
            },
            {
                "time": now - 30,
                "person": "ben",
                "role": "viewer",
                "door": "web",
                "command": "stop",
                "watcher": "web",
                "args": {"waiting": True},
                "result": "denied",
            },
        ],
        "file": "/var/lib/circus/audit.log",
        "recorded": 3,
        "lost": 1,
        "problem": "the disk is full",
    }


def jobs() -> Answer:
    """One under way, one that waits."""
    now = time.time()
    job = {
        "command": "reload",
        "watcher": "web",
        "by": "ana",
        "since": now - 4,
        "done": 1,
        "total": 2,
        "unit": "process",
        "parts": [],
    }
    return {
        "jobs": [
            {**job, "id": 17, "state": "running"},
            {**job, "id": 18, "command": "restart", "state": "waiting", "total": 0},
        ]
    }


def options() -> Answer:
    """Of the daemon: given ones and others."""
    return {
        "options": {
            "name": "stage",
            "endpoint": "ipc:///run/circus.sock",
            "warmup_delay": 0.0,
            "httpd": True,
            "history_bytes": 1 << 20,
            "pidfile": None,
        }
    }


def happened(count: int = 40) -> list[Answer]:
    """Events of several watchers over the last half hour, oldest first."""
    now = time.time()
    kinds = (
        ("process.exited", "warning"),
        ("process.started", "info"),
        ("process.failed", "error"),
        ("watcher.stopped", "info"),
    )
    return [
        {
            "event": kind,
            "level": level,
            "number": number,
            "time": now - 40 * (count - number),
            "watcher": name,
            "text": f"{number} {kind}",
        }
        for number in range(1, count + 1)
        for kind, level in (kinds[number % 4],)
        for name in (("web", "loud", "sick")[number // 10 % 3],)
    ]


def set_pages(stage: StagedDaemon) -> None:
    """Whatever the pages ask is answered."""
    for name in ("plugin:notes", "plugin:broken"):
        state = ("running", "active") if name.endswith("notes") else ("backoff", "active")
        listed = (
            [process(1)] if name.endswith("notes") else [process(1, "backoff", next_try=time.time() + 600)]
        )
        stage.watchers[name] = watcher(name, listed, state=state[0], status=state[1], kind="plugin")
    answers: dict[str, Callable[[Answer], Answer]] = {
        "listsockets": lambda p: {"sockets": sockets()},
        "plugins": lambda p: {"plugins": plugins()},
        "daemon": lambda p: daemon(),
        "drift": lambda p: drift(),
        "jobs": lambda p: jobs(),
        "save": saved,
        "reloadconfig": reloaded,
        "audit": lambda p: audit(),
        "globaloptions": lambda p: options(),
        "events": lambda p: {"events": happened(), "more": False},
    }
    stage.answers.update(answers)


def tied(name: str, *needs: str, meets: tuple[str, ...] = ("started", "ready"), **more: Any) -> Answer:
    """A watcher that needs those (``NAME:CONDITION``)."""
    said = [dict(zip(("name", "condition"), need.split(":"), strict=True)) for need in needs]
    return watcher(name, [process(1)], needs=said, meets=list(meets), **more)


def outside(address: str, **more: Any) -> Answer:
    """An address outside that a watcher needs, and that does not answer."""
    told = {
        "problem": "connection refused",
        "asked": 3,
        "next": time.time() + 600,
        "answered": None,
        "met": False,
    }
    return {"name": address, "condition": "ready", "outside": True, **told, **more}


def set_graph(stage: StagedDaemon) -> None:
    """An application whose migration has yet to end, and one that stands apart."""
    waiting = {"status": "starting", "state": "waiting", "meets": ()}
    for shown in (
        tied("db"),
        tied("cache"),
        tied("migrate", "db:ready", meets=("started",)),
        {
            **tied("web", "DB:ready", "cache:started", "migrate:completed_successfully", **waiting),
            "explain": "It is to be started, and waits for tcp://mail:25: connection refused, asked 3 times, next in 2.0 s.",
        },
        tied("proxy", "web:ready", **waiting),
        tied("apart"),
    ):
        stage.watchers[shown["name"]] = shown
    stage.watchers["web"]["needs"].append(outside("tcp://mail:25"))
    stage.answers["timeline"] = lambda p: starts(last=bool(p.get("last")))


def starts(*, last: bool) -> Answer:
    """Of that application: the migration goes on, one has failed."""
    since = time.time() - 6
    row = {
        "command": "start",
        "after": "",
        "failed": None,
        "ended": None,
        "error": "",
        "waits": "",
        "until": "ready",
        "healthy": None,
    }
    moments = {
        "asked": since,
        "begun": since,
        "spawned": since,
        "ready": since + 1,
        "waited": 0.0,
        "took": 1.0,
    }
    never = {"begun": None, "spawned": None, "ready": None, "took": None, "waited": None}
    return {
        "last": last,
        "since": since,
        "took": 4.5,
        "under_way": 2,
        "chain": [] if last else ["db", "migrate"],
        "watchers": [
            {**row, **moments, "name": "db", "ready": since + 4.5, "took": 4.5, "critical": not last},
            {**row, **moments, "name": "cache", "until": "healthy", "took": None, "critical": False},
            {
                **row, **moments, "name": "migrate", "after": "db", "begun": since + 4.5, "waited": 4.5, "took": None,
                "until": "ended", "critical": not last,
            },
            {**row, **moments, **never, "name": "web", "waits": "migrate to end well", "critical": False},
            {
                **row, **moments, **never, "name": "apart", "failed": since + 0.2, "error": "no such program\x1b[2J",
                "critical": False,
            },
        ],
    }  # fmt: skip
