"""The event table: what can happen, what each event carries, and the original's topic for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

LEVELS = ("info", "warning", "error")
"""From least to most."""


@dataclass(frozen=True, slots=True)
class EventKind:
    """One row of the table."""

    name: str
    """Inner name, past tense: ``process.exited``."""
    original: str
    """Last part of the original's topic ``watcher.NAME.<original>``; empty when the original has none."""
    fields: tuple[str, ...]
    """Payload beside ``time`` (epoch seconds), ``number`` (counts up by one) and ``text``."""
    doc: str
    level: str = "info"
    """``info``, ``warning`` or ``error``: how the console marks it."""


_PROCESS = ("watcher", "wid", "pid")

EVENTS: tuple[EventKind, ...] = (
    EventKind(
        "watcher.started", "start", ("watcher",), "A watcher was started: its processes are on their way."
    ),
    EventKind(
        "watcher.waiting",
        "",
        ("watcher", "reason"),
        "A watcher is meant to run as soon as something has come; the reason says what: ``socket``, a connection, ``schedule``, its next "
        "time, or in words what it depends on.",
    ),
    EventKind("watcher.stopped", "stop", ("watcher",), "The last process of a stopping watcher is gone."),
    EventKind("watcher.reloaded", "reload", ("watcher",), "A reload of the watcher's processes has ended."),
    EventKind(
        "watcher.reload_failed",
        "",
        ("watcher", "reason"),
        "A reload was given up, as a new process was not ready: the new ones are stopped, and the old ones go on.",
        "error",
    ),
    EventKind(
        "watcher.files_changed",
        "",
        ("watcher", "files", "count", "action"),
        "Files that the option ``watch`` names have changed, the first of them are named: the watcher is restarted or reloaded, as "
        "``action`` says.",
    ),
    EventKind(
        "watcher.watch_failed",
        "",
        ("watcher", "reason"),
        "What the option ``watch`` names can't be watched: a change is not seen. It is tried again each minute.",
        "error",
    ),
    EventKind(
        "watcher.updated",
        "updated",
        ("watcher", "key"),
        "An option was changed while running; one event for each key.",
    ),
    EventKind("watcher.added", "add", ("watcher",), "A watcher was added."),
    EventKind("watcher.removed", "remove", ("watcher",), "A watcher was removed."),
    EventKind(
        "watcher.scaled", "", ("watcher", "before", "after"), "The number of wanted processes was changed."
    ),
    EventKind(
        "watcher.failed",
        "",
        ("watcher", "reason"),
        "A watcher was given up: nothing more happens by itself.",
        "error",
    ),
    EventKind(
        "run.started",
        "",
        ("watcher", "run", "planned", "why", "by"),
        "A run of a watcher with a schedule begins: number ``run``, ``planned`` for a moment (epoch seconds; null where somebody has "
        "asked for it, ``by``); ``why`` is ``planned``, ``caught up`` or ``by hand``.",
    ),
    EventKind(
        "run.ended",
        "",
        ("watcher", "run", "result", "code", "signal", "took", "reason"),
        "A run is over after so many seconds; the result is ``succeeded``, ``failed``, ``timed out``, ``stopped`` or ``replaced``.",
    ),
    EventKind(
        "run.skipped",
        "",
        ("watcher", "planned", "reason"),
        "A run was left out, as another one goes on or waits already.",
        "warning",
    ),
    EventKind(
        "run.missed",
        "",
        ("watcher", "planned", "reason"),
        "The moment of a run, the first of several maybe, was noticed more than a minute late: it is not run for that.",
        "warning",
    ),
    EventKind("process.started", "spawn", _PROCESS, "A process runs."),
    EventKind(
        "process.ready",
        "",
        (*_PROCESS, "after"),
        "A process is ready, so many seconds after its start: it has said so, or its probe has passed.",
    ),
    EventKind(
        "process.unready",
        "",
        (*_PROCESS, "reason"),
        "A process was not ready within ``start_timeout``: it is stopped, and tried again later.",
        "error",
    ),
    EventKind(
        "process.replaced",
        "",
        (*_PROCESS, "reason"),
        "A process is stopped and another one takes its place: it took more than ``max_memory`` or ``max_cpu`` lets it, for too long.",
        "warning",
    ),
    EventKind(
        "process.unhealthy",
        "",
        (*_PROCESS, "reason"),
        "A process is not well: it has not given the sign of life that ``watchdog`` expects, says that it can't go on, or has failed "
        "``alive_failures`` looks in a row. It is stopped and replaced; after looks as ``alive_replace`` has it.",
        "error",
    ),
    EventKind(
        "process.healthy",
        "",
        _PROCESS,
        "A process has passed ``alive_successes`` looks in a row, for the first time or after it was unhealthy.",
    ),
    EventKind(
        "process.followed",
        "",
        (*_PROCESS, "before"),
        "A process (``before``) has ended, and the one that it had named by ``MAINPID``, or that its pid file names, has taken its place.",
    ),
    EventKind(
        "process.frozen",
        "",
        (*_PROCESS, "by", "seconds"),
        "A process and all below it were made to stand still: by whom, and for so many seconds, until somebody thaws it where that "
        "is null.",
        "warning",
    ),
    EventKind(
        "process.thawed",
        "",
        (*_PROCESS, "after", "by"),
        "A frozen process goes on; it had stood still so many seconds, and who wanted that, nobody where its time was over.",
    ),
    EventKind(
        "process.refused",
        "",
        ("watcher", "wid", "stage", "errno", "reason"),
        "A process could not be started.",
        "error",
    ),
    EventKind(
        "process.exited",
        "reap",
        (*_PROCESS, "code", "signal", "lived"),
        "A process has ended and was reaped; it had lived so many seconds.",
        "warning",
    ),
    EventKind(
        "process.crashed",
        "",
        (*_PROCESS, "report", "reason"),
        "There is a crash report of a process that has failed: its number, and how the process ended. Further ends like it are "
        "counted with it, and not told again.",
    ),
    EventKind(
        "process.asked", "", _PROCESS, "The ``stop_command`` of the watcher was started, to stop a process."
    ),
    EventKind(
        "process.stop_failed",
        "",
        (*_PROCESS, "reason"),
        "The ``stop_command`` has failed, or its time is over and the process runs on: it gets the signals of a stop.",
        "warning",
    ),
    EventKind("process.signalled", "kill", (*_PROCESS, "signum"), "A signal was sent to stop a process."),
    EventKind(
        "process.backoff",
        "",
        ("watcher", "wid", "delay", "attempt"),
        "A process died too soon, or is started again after a pause: it is tried again after the delay (seconds). Attempt 0 is "
        "the pause.",
        "warning",
    ),
    EventKind(
        "process.failed",
        "",
        ("watcher", "wid", "reason", "retry_in"),
        "A process was given up: it could not be started max_retry times more, or has reached start_limit_burst. It is tried "
        "again after so many seconds, never where that is null.",
        "error",
    ),
    EventKind(
        "process.abandoned",
        "",
        (*_PROCESS, "reason"),
        "A process has not ended within 10 seconds of SIGKILL, and is waited for no longer; ``process.exited`` tells it when it "
        "ends after all.",
        "error",
    ),
    EventKind("hook.succeeded", "hook_success", ("watcher", "hook"), "A hook returned truth."),
    EventKind(
        "hook.failed",
        "hook_failure",
        ("watcher", "hook", "error"),
        "A hook returned false, raised, or ran over its time.",
        "warning",
    ),
    EventKind(
        "output.dropped",
        "",
        ("watcher", "stream", "place", "reason", "count"),
        "A sink could not keep up or could not write: so many bytes did not reach it. Told once until it is over.",
        "warning",
    ),
    EventKind(
        "output.recovered",
        "",
        ("watcher", "stream", "place", "count"),
        "A sink writes again; the count is what was lost (bytes).",
    ),
    EventKind("output.rotated", "", ("watcher", "stream", "file"), "A log file was rotated."),
    EventKind("socket.opened", "", ("socket", "address"), "A managed socket listens."),
    EventKind("socket.closed", "", ("socket",), "A managed socket was closed."),
    EventKind("daemon.started", "", ("pid",), "circusd has started everything that starts by itself."),
    EventKind("daemon.stopping", "", ("reason",), "circusd is stopping; everything is stopped in order."),
    EventKind("daemon.reloaded", "", ("summary",), "The configuration was read again and applied."),
    EventKind(
        "audit.failed",
        "",
        ("reason",),
        "Changing commands are not recorded on disk; everything else goes on. Told once until they are again.",
        "warning",
    ),
    EventKind(
        "client.refused", "", ("door", "uid", "reason"), "A connection or a command was refused.", "warning"
    ),
)


def event_kind(name: str) -> EventKind:
    """The row of that name."""
    for row in EVENTS:
        if row.name == name:
            return row
    raise KeyError(name)


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events are wanted; what is empty or None lets all pass."""

    before: int | None = None
    """Only those with a lower number."""
    kind: str = ""
    """A name (``process.exited``) or the part before its dot (``process``)."""
    level: str = ""
    """The least: ``warning`` lets errors pass too."""
    text: str = ""
    """In lower case; somewhere in the text or the watcher's name."""

    def passes(self, record: Mapping[str, Any]) -> bool:
        """Whether the event is one of these."""
        name = str(record.get("event", ""))
        return (
            (self.before is None or record.get("number", 0) < self.before)
            and (not self.kind or name == self.kind or name.startswith(f"{self.kind}."))
            and (not self.level or LEVELS.index(record.get("level", "info")) >= LEVELS.index(self.level))
            and (
                not self.text or self.text in f"{record.get('watcher', '')} {record.get('text', '')}".lower()
            )
        )
