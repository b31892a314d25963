"""The commands that read output: the last lines from memory at once, everything else by a search."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from gevent.event import AsyncResult

from circusd.schema.errors import BadRequest
from circusd.schema.wire import Encoded

from . import clock
from .arbiter import Arbiter
from .history import Line, StreamKey
from .linequery import NEWER, OLDER, Log, Position, Query, line_id, name_of, read_line_id
from .requests import Context, Later, Reply, as_int, truthy
from .scope import Scope
from .selection import seen, select
from .streams import STREAMS
from .watcher import Watcher

if TYPE_CHECKING:
    from .daemon import Daemon

LINES_LIMIT: Final = 20_000
REPLY_BYTES: Final = 4 << 20
"""Bytes of lines in a reply, about; half of what may lie for one peer."""
CONTEXT_LIMIT: Final = 100
PATTERN_LIMIT: Final = 2000
"""Characters."""
SECONDS: Final = 60.0
"""After which a search replies with what it has found, and where to go on."""

_SEARCHED: Final = ("files", "since", "until", "around", "before", "after", "cursor")
"""Properties of ``output`` that need a search."""
_NOTHING_READ: Final = {
    "searched": {"bytes": 0, "files": 0, "seconds": 0.0},
    "complete": True,
    "unsearched": (),
    "notes": (),
}


class Searching:
    """``grep`` and ``output``."""

    arbiter: Arbiter
    daemon: Daemon

    def cmd_grep(self, p: dict[str, Any], c: Context) -> Reply:
        key = _text(p, "key")
        session = self.daemon.fingerprint_of(c.person.session)
        limit = min(max(as_int(p["limit"], "limit"), 0), LINES_LIMIT)
        if not limit:
            self.daemon.searches.replace(session or c.caller.connection.hex(), key)
            return {"lines": [], "matches": 0, "older": None, "newer": None, "more": False, **_NOTHING_READ}
        pattern, fixed = p.get("pattern"), truthy(p.get("fixed"))
        if text := _text(p, "text"):
            pattern, fixed = text, True
        if not isinstance(pattern, str) or not pattern:
            raise BadRequest(
                "a pattern is needed", field="pattern", hint="or a text, which is taken as it stands"
            )
        if len(pattern) > PATTERN_LIMIT:
            raise BadRequest(f"the pattern is longer than {PATTERN_LIMIT} characters", field="pattern")
        context = p.get("context")
        watchers = self._named(p, c, [p["name"]] if p.get("name") else [])
        query = self._query(p, watchers, limit)
        before, after = (
            min(max(as_int(p[name] if context is None else context, name), 0), CONTEXT_LIMIT)
            for name in ("before", "after")
        )
        query = query._replace(
            pattern=pattern,
            fixed=fixed,
            ignore_case=truthy(p.get("ignore_case")),
            invert=truthy(p.get("invert")),
            before=before,
            after=after,
        )
        return self._search([query], p, c, watchers, key)

    def cmd_output(self, p: dict[str, Any], c: Context) -> Reply:
        names = p.get("names") or []
        names = [names] if isinstance(names, str) else names
        if not isinstance(names, list):
            raise BadRequest("names must be a list of watchers", field="names")
        watchers = self._named(p, c, names)
        lines = min(max(as_int(p.get("lines", 100), "lines"), 0), LINES_LIMIT)
        meant = [w.name for w in watchers] if names else []
        if not lines or (p["order"] == "newest" and not any(p.get(name) for name in _SEARCHED)):
            return {**self._last(watchers, lines, p.get("stream")), "watchers": meant}
        queries = [self._query(p, watchers, lines)]
        if p.get("around"):
            middle = _moment(p, "around")
            limits = max(1, lines // 2), max(1, lines - lines // 2)
            queries = [
                self._query(p, watchers, limit)._replace(position=Position(direction, {}, {}, middle))
                for limit, direction in zip(limits, (OLDER, NEWER), strict=True)
            ]
        elif p.get("before") or p.get("after"):
            field = "before" if p.get("before") else "after"
            position = self._from_line(_text(p, field), field, c.person.scope)
            queries = [query._replace(position=position) for query in queries]
        later = self._search(queries, p, c, watchers, _text(p, "key"))
        return Later(later.result, lambda replies: {**later.payload(replies), "watchers": meant})

    def _named(self, p: dict[str, Any], c: Context, names: Iterable[Any]) -> list[Watcher]:
        found = {w.name: w for name in names for w in select(seen(self.arbiter, c), p, name)}
        if p.get("stream") not in (None, *STREAMS):
            raise BadRequest("stream must be stdout or stderr", field="stream")
        return list(found.values()) or list(seen(self.arbiter, c).watchers.values())

    # -- from memory, at once ------------------------------------------------------------------------------------------

    def _last(self, watchers: list[Watcher], lines: int, stream: str | None) -> dict[str, Any]:
        """The last lines of these watchers, merged by time."""
        history, epoch = self.daemon.history, self.daemon.life
        keys = [key for w in watchers for key in history.keys(w.name) if stream in (None, key.stream)]
        found = history.tail(keys, lines)
        after = {name_of(key): history.bounds(key)[1] for key in keys}
        before = dict(after)
        rows: list[tuple[StreamKey, Line]] = []
        size = 0
        for key, line in reversed(found):
            size += len(line.text) + 200
            if rows and size > REPLY_BYTES:
                break
            rows.append((key, line))
            before[name_of(key)] = line.number
        is_more = any(before[name_of(key)] > history.bounds(key)[0] for key in keys)
        is_more = is_more or any(w.output.files() for w in watchers)
        return {
            "lines": [
                {
                    "id": line_id(epoch, name_of(key), line.number),
                    "watcher": key.watcher,
                    "wid": key.wid,
                    "pid": line.pid,
                    "stream": key.stream,
                    "number": line.number,
                    "time": line.time,
                    "text": line.text.decode("utf-8", "backslashreplace"),
                }
                for key, line in reversed(rows)
            ],
            "older": Position(OLDER, before, {}).encoded() if is_more else None,
            "newer": Position(NEWER, {name: number - 1 for name, number in after.items()}, {}).encoded(),
            "more": is_more,
            **_NOTHING_READ,
        }

    # -- by a search ---------------------------------------------------------------------------------------------------

    def _query(self, p: dict[str, Any], watchers: list[Watcher], limit: int) -> Query:
        logs = self._logs(watchers, p.get("stream"), files=truthy(p.get("files")))
        older = p["order"] == "newest"
        if p.get("cursor"):
            position = Position.decoded(_text(p, "cursor"))
        elif older:
            position = Position(
                OLDER, {name: number for log in logs for name, number in log.next.items()}, {}
            )
        else:
            position = Position(NEWER, {}, {})
        since = _moment(p, "since") if p.get("since") else None
        until = _moment(p, "until") if p.get("until") else None
        if since is not None and until is not None and since > until:
            raise BadRequest("since is later than until", field="since")
        return Query(
            self.daemon.life,
            logs,
            position,
            limit=limit,
            limit_bytes=REPLY_BYTES,
            since=since,
            until=until,
            seconds=SECONDS,
        )

    def _logs(self, watchers: list[Watcher], stream: str | None, *, files: bool) -> list[Log]:
        """The streams of these watchers, those together that go to one file where files are to be read."""
        history = self.daemon.history
        logs: list[Log] = []
        shared: dict[str, Log] = {}
        for watcher in watchers:
            paths = watcher.output.files() if files else {}
            for name in STREAMS:
                if stream not in (None, name):
                    continue
                keys = [key for key in history.keys(watcher.name) if key.stream == name]
                after = {name_of(key): history.bounds(key)[1] for key in keys}
                path = paths.get(name, "")
                known = shared.get(path)
                if known is None:
                    # Without a file each process is a log of its own.
                    parts = (
                        [(keys, after)]
                        if path
                        else [([key], {name_of(key): after[name_of(key)]}) for key in keys]
                    )
                    for its, next_ in parts:
                        logs.append(Log([watcher.name], [name], its, next_, path))
                    if path:
                        shared[path] = logs[-1]
                else:
                    known.watchers.extend([watcher.name] if watcher.name not in known.watchers else [])
                    known.streams.extend([name] if name not in known.streams else [])
                    known.keys.extend(keys)
                    known.next.update(after)
        return logs

    def _strangers(self, logs: list[Log], scope: Scope) -> list[dict[str, str]]:
        """Files that others write to as well, whose lines can't be told apart: they are read for nobody."""
        users: dict[str, set[tuple[str, str]]] = {}
        for watcher in self.arbiter.watchers.values():
            for stream, path in watcher.output.files().items():
                users.setdefault(path, set()).add((watcher.name, stream))
        told = []
        for index, log in enumerate(logs):
            own = {(watcher, stream) for watcher in log.watchers for stream in log.streams}
            others = users.get(log.path, set()) - own
            if log.path and others:
                who = ", ".join(
                    sorted(
                        {
                            f"{stream} of {watcher if scope.sees(watcher) else 'another watcher'}"
                            for watcher, stream in others
                        }
                    )
                )
                told.append(
                    {"file": log.path, "reason": f"it holds {who} too, and lines do not say whose they are"}
                )
                logs[index] = log._replace(path="")
        return told

    def _from_line(self, text: str, field: str, scope: Scope) -> Position:
        """Before or after one line; of other streams, by its time. One that is not to be seen is as one that is not there."""
        epoch, number, key = read_line_id(text, field)
        history = self.daemon.history
        if epoch != self.daemon.life:
            raise BadRequest("the line is of an earlier circusd", field=field, hint="read around its time")
        lines = history.page(key, number - 1, 1, 1).lines if scope.sees(key.watcher) else []
        if not lines:
            raise BadRequest("there is no such line", field=field)
        when = lines[0].time if lines[0].number == number else None
        return Position(OLDER if field == "before" else NEWER, {name_of(key): number}, {}, when)

    def _search(
        self, queries: list[Query], p: dict[str, Any], c: Context, watchers: list[Watcher], key: str = ""
    ) -> Later:
        strangers = {
            told["file"]: told for query in queries for told in self._strangers(query.logs, c.person.scope)
        }
        session = self.daemon.fingerprint_of(c.person.session)
        result: AsyncResult[Any] = self.daemon.searches.begin(
            queries, c.order, c.caller.connection, session, key
        )
        has_files = not truthy(p.get("files")) and any(w.output.files() for w in watchers)
        start = queries[0].position

        def payload(replies: list[dict[str, Any]]) -> dict[str, Any]:
            reply = replies[0] if len(replies) == 1 else _joined(*replies)
            if start == Position(NEWER, {}, {}) or (
                start.direction == OLDER and not (reply["more"] or has_files)
            ):
                # It has the first line of all.
                reply["older"] = None
            reply["unsearched"] += list(strangers.values())
            return reply

        return Later(result, payload)


def _joined(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """Two pages that meet."""
    searched = {name: before["searched"][name] + after["searched"][name] for name in before["searched"]}
    return {
        "lines": Encoded(
            b"[" + b",".join(filter(None, (before["lines"][1:-1], after["lines"][1:-1]))) + b"]"
        ),
        "older": before["older"],
        "newer": after["newer"],
        "more": before["more"],
        "searched": searched,
        "complete": before["complete"] and after["complete"],
        "unsearched": [
            *before["unsearched"],
            *(u for u in after["unsearched"] if u not in before["unsearched"]),
        ],
        "notes": list(dict.fromkeys(before["notes"] + after["notes"])),
    }


def _text(p: dict[str, Any], name: str) -> str:
    value = p.get(name) or ""
    if not isinstance(value, str):
        raise BadRequest(f"{name} must be a text", field=name)
    return value


def _moment(p: dict[str, Any], name: str) -> float:
    from circusd.kernel.moments import moment

    try:
        return moment(_text(p, name), clock.wall())
    except ValueError as problem:
        raise BadRequest(f"{p[name]!r} {problem}", field=name) from None
