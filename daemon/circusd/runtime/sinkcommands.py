"""The commands about where output goes: how it does there, and files that are put aside or opened again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import gevent
from gevent.event import AsyncResult

from circusd.schema.errors import Conflict, Failed

from .appendfile import ANOTHER_PROGRAM
from .arbiter import Arbiter, in_background
from .places import NO_FILE, FilePlace
from .requests import Context, Later, Reply
from .selection import chosen, named
from .streams import STREAMS
from .watcher import Watcher

if TYPE_CHECKING:
    from .daemon import Daemon

PATIENCE: Final = 5.0
"""Seconds that the disks have for an answer; it is done all the same when they answer later."""

_NEVER: Final = (NO_FILE, ANOTHER_PROGRAM)

Done = Callable[[str | None], None]


class SinkCommands:
    """Sinks, rotate, reopen."""

    arbiter: Arbiter
    daemon: Daemon

    def cmd_sinks(self, p: dict[str, Any], c: Context) -> Reply:
        rows: list[dict[str, Any]] = []
        for watcher in named(self.arbiter, p, c):
            sinks = watcher.output.sinks()
            for stream in STREAMS:
                first = {
                    "watcher": watcher.name,
                    "stream": stream,
                    "name": "",
                    "read_bytes": watcher.output.read_bytes(stream),
                }
                own = [{**first, "name": name, **sink.counters()} for of, name, sink in sinks if of == stream]
                rows += own or [{**first, "place": "", "state": "none"}]
        return {"sinks": rows}

    def cmd_rotate(self, p: dict[str, Any], c: Context) -> Reply:
        watchers = chosen(self.arbiter, p, c)
        places = _files(watchers, str(p.get("stream") or ""))
        if not places:
            name = watchers[0].name
            raise Conflict(
                f"{name} writes to no file that could be rotated",
                hint=f"circusctl sinks {name} tells where to",
            )
        return _at_files(places, lambda place, done: place.rotate(done), "rotated")

    def cmd_reopen(self, p: dict[str, Any], c: Context) -> Reply:
        if not p.get("name") and c.person.scope.is_all:
            self.daemon.settings.reopen_log()
        places = _files(named(self.arbiter, p, c), "")
        return _at_files(places, lambda place, done: place.open_again(done), "reopened")


def _files(watchers: Iterable[Watcher], wanted: str) -> list[FilePlace]:
    """The files that they write to, each once."""
    places = [
        sink.place
        for watcher in watchers
        for stream, _, sink in watcher.output.sinks()
        if wanted in ("", stream)
    ]
    return [
        place for place in dict.fromkeys(places) if isinstance(place, FilePlace) and not place.file.is_given
    ]


def _at_files(places: list[FilePlace], do: Callable[[FilePlace, Done], None], what: str) -> Reply:
    answers: dict[str, AsyncResult[str | None]] = {}
    for place in places:
        answer = answers[place.name] = AsyncResult()
        do(place, answer.set)
    return Later(in_background(partial(_gathered, answers)), lambda found: _reply(found, what))


def _gathered(answers: dict[str, AsyncResult[str | None]]) -> dict[str, str | None]:
    gevent.wait(list(answers.values()), timeout=PATIENCE)
    return {path: answer.value if answer.ready() else None for path, answer in answers.items()}


def _reply(found: dict[str, str | None], what: str) -> dict[str, Any]:
    done = [path for path, problem in found.items() if problem == ""]
    pending = [path for path, problem in found.items() if problem is None]
    problems = {path: problem for path, problem in found.items() if problem}
    # What is never put aside is no reason to complain where others are.
    wrong = {path: problem for path, problem in problems.items() if problem not in _NEVER}
    if wrong or (problems and not done and not pending):
        raise Failed("; ".join(f"{path}: {problem}" for path, problem in (wrong or problems).items()))
    return {what: done, "pending": pending}
