"""What is known of watchers, as the ``inspect`` command, the console and hooks get it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from circusd.core import words
from circusd.core.dependencies import met_by
from circusd.core.process import Exit, Process

from . import clock
from .pace import Pace
from .scope import ALL, Scope

if TYPE_CHECKING:
    from .arbiter import Arbiter
    from .watcher import Watcher


def _epoch(moment: float | None) -> float | None:
    return None if moment is None else round(clock.wall(moment), 3)


def _exit(end: Exit | None) -> dict[str, Any] | None:
    if end is None:
        return None
    return {
        "code": end.code,
        "signal": end.signal,
        "time": _epoch(end.at),
        "stage": end.stage,
        "errno": end.errno,
        "text": words.ending(end),
    }


def _health(process: Process) -> dict[str, Any] | None:
    found = process.health
    if found is None:
        return None
    return {
        "state": found.state,
        "since": _epoch(found.since),
        "failures": found.failures,
        "text": found.text,
    }


def process_view(
    process: Process, side: str = "", main_pid: int | None = None, stdin: str | None = None
) -> dict[str, Any]:
    """One slot of a watcher; ``side`` is ``old`` or ``new`` while a reload goes on, ``main_pid`` what has the work below it.

    ``stdin`` is ``open`` or ``closed`` where its standard input is a pipe.
    """
    return {
        "wid": process.wid,
        "pid": process.pid,
        "main_pid": main_pid,
        "state": process.state.value,
        "reason": process.reason,
        "since": _epoch(process.since),
        "started": _epoch(process.started),
        "starts": process.starts,
        "attempts": process.attempts,
        "next_try": _epoch(process.next_try),
        "awaits": process.awaits,
        "ready_by": _epoch(process.ready_by),
        "said": process.said,
        "replaced": process.replaced,
        "health": _health(process),
        "side": side,
        "stdin": stdin,
        "frozen_by": process.frozen_by,
        "thaw_at": _epoch(process.thaw_at),
        "stop_by": _epoch(process.stop_by) if process.state.value == "stopping" else None,
        "exit": _exit(process.exit),
    }


def watcher_view(arbiter: Arbiter, watcher: Watcher) -> dict[str, Any]:
    """A watcher with its processes, and the sentence that explains it."""
    planner, config = watcher.planner, watcher.config
    job = planner.job
    last = watcher.last_event
    return {
        "name": config.name,
        "kind": watcher.kind,
        "state": words.watcher_state(planner),
        "status": planner.status(),
        "detail": words.detail(planner),
        "explain": words.explain(planner, clock.now()),
        "cmd": config.cmd,
        "numprocesses": planner.policy.numprocesses,
        "singleton": config.singleton,
        "autostart": config.autostart,
        "priority": config.priority,
        "tags": list(config.tags),
        "needs": arbiter.dependencies.view(watcher),
        "meets": met_by(planner),
        "sockets": arbiter.sockets.named_by(config),
        "restarts": watcher.restarts_last_hour(),
        "last_event": None
        if last is None
        else {"time": last["time"], "text": last["text"], "event": last["event"]},
        "job": None
        if job is None
        else {
            "id": job.order or job.id,
            "command": job.command or job.kind,
            "done": job.done,
            "total": job.total,
            "since": _epoch(job.since),
            "text": words.progress(planner),
            "waiting": watcher.waiting_commands,
        },
        "setback": planner.setback,
        "schedule": arbiter.schedules.view(watcher) if config.schedule and arbiter.schedules else None,
        "crash": watcher.health.crash,
        "watched": arbiter.watched(watcher),
        "output": _output(watcher),
        "processes": [
            process_view(p, planner.side(w), watcher.main_of(p.pid), watcher.stdin_of(w))
            for w, p in sorted(planner.processes.items())
        ],
    }


def _output(watcher: Watcher) -> dict[str, Any]:
    config = watcher.config
    closed = [s for s in ("stdout", "stderr") if getattr(config, f"close_child_{s}")]
    if len(closed) == 2:
        return {
            "captured": False,
            "why": "close_child_stdout and close_child_stderr send its output to the null device",
        }
    why = f"close_child_{closed[0]} sends its {closed[0]} to the null device" if closed else ""
    return {"captured": True, "why": why}


def sockets_view(arbiter: Arbiter, scope: Scope = ALL) -> list[dict[str, Any]]:
    """The sockets that the daemon owns, and who is given them; those that watchers of the scope are given."""
    views = []
    for entry in arbiter.sockets.entries():
        holders = [
            w.name
            for w in scope.of_those(arbiter.watchers).values()
            if entry.name in arbiter.sockets.named_by(w.config)
        ]
        if not holders and not scope.is_all:
            continue
        views.append(
            {
                "name": entry.name,
                "address": entry.address,
                "fd": entry.fd,
                "backlog": entry.backlog,
                "held_by": sorted(holders),
            }
        )
    return views


def inspect(
    arbiter: Arbiter, daemon: dict[str, Any], names: Iterable[str] | None = None, scope: Scope = ALL
) -> dict[str, Any]:
    """Everything of the scope, or everything of these watchers.

    It is gathered in turns, each watcher as it is when it comes to it: to be called in a greenlet.
    """
    chosen = (
        [w for _, w in sorted(scope.of_those(arbiter.watchers).items())]
        if names is None
        else [*map(arbiter.find, names)]
    )
    pace = Pace()
    views = []
    for watcher in chosen:
        if not watcher.removed:
            views.append(watcher_view(arbiter, watcher))
        pace.rest()
    if names is not None:
        return {"daemon": daemon, "watchers": views}
    planners = {w.name: w.planner for w in scope.of_those(arbiter.watchers).values()}
    return {
        "daemon": daemon,
        "watchers": views,
        "lead": words.lead(planners, clock.now()),
        "sockets": sockets_view(arbiter, scope),
    }


def machine() -> dict[str, Any]:
    """What of the machine is shown beside the daemon; does not change while it runs."""
    return {
        "host": socket.gethostname(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_total": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
    }


def hook_view(arbiter: Arbiter, watcher: Watcher) -> dict[str, Any]:
    """What a hook can look at: its watcher, and the names and states of the others."""
    config, planner = watcher.config, watcher.planner
    return {
        "name": config.name,
        "cmd": config.cmd,
        "args": config.args,
        "numprocesses": planner.policy.numprocesses,
        "env": dict(config.env),
        "copy_env": config.copy_env,
        "working_dir": config.working_dir,
        "status": planner.status(),
        "processes": {p.pid: p.wid for p in planner.processes.values() if p.pid is not None},
        "extras": dict(config.extras),
        "watchers": {w.name: w.planner.status() for w in arbiter.watchers.values()},
    }
