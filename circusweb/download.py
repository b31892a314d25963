"""Output as a file: pages of lines, one after the other, as text or as JSON lines; never more than one page is held."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, quote

from bottle import HTTPResponse, request

from circusd.schema.commands import find
from circusd.schema.errors import BadRequest, CircusError, NoSession

from . import auth
from .bridge import Bridge

PAGE_SECONDS: Final = 180.0
"""Seconds for one page; the daemon answers in a third of that with what it has found."""
PAGE_LINES: Final = 10_000

KINDS: Final = {"text": ("text/plain; charset=utf-8", "log"), "jsonl": ("application/x-ndjson", "jsonl")}
_OWN: Final = ("format", "prefix")
_TAKEN: Final = ("name", "names", "match", "cursor", "order", "key", "limit", "lines", "around")
"""Properties that are the download's own matter."""
_BOOLEANS: Final = {"true": True, "1": True, "": True, "false": False, "0": False}
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")


def download(bridge: Bridge, watcher: str) -> HTTPResponse:
    """The output of a watcher, or what of it matches, oldest first; takes the parameters of ``grep`` and ``output``.

    ``format`` is ``text`` or ``jsonl``; with ``prefix``, a line of text begins with its time, process and stream. The first
    page is asked for before anything is sent, so that what is refused has its status. Raises CircusError.
    """
    session = auth.session_of(request.environ)
    if not session:
        raise NoSession("a session is needed", hint="get a link with circusctl weblink")
    given = _query()
    kind = given.get("format", "text")
    if kind not in KINDS:
        raise BadRequest(f"format must be one of {', '.join(KINDS)}", field="format")
    command = "grep" if "pattern" in given or "text" in given else "output"
    asked = {name: _typed(command, name, value) for name, value in given.items() if name not in _OWN}
    asked |= {"match": "simple", "order": "oldest"}
    key = f"download {secrets.token_hex(8)}"
    if command == "grep":
        asked |= {"name": watcher, "limit": PAGE_LINES, "key": key}
    else:
        asked |= {"names": [watcher], "lines": PAGE_LINES}
    shown = _as_json if kind == "jsonl" else _as_text(prefix=_BOOLEANS.get(given.get("prefix", "0"), True))
    first = bridge.call(command, asked, session=session, timeout=PAGE_SECONDS)
    media, ending = KINDS[kind]
    return HTTPResponse(
        _pages(bridge, command, asked, session, first, shown),
        200,
        {"Content-Type": media, "Content-Disposition": _disposition(watcher, ending)},
    )


def _query() -> dict[str, str]:
    try:
        return dict(
            parse_qsl(request.environ.get("QUERY_STRING", ""), keep_blank_values=True, max_num_fields=50)
        )
    except ValueError:
        raise BadRequest("too many parameters in the address") from None


def _typed(command: str, name: str, value: str) -> Any:
    row = find(command)
    assert row is not None
    field = next((field for field in row.args if field.name == name and name not in _TAKEN), None)
    if field is None:
        known = sorted({field.name for field in row.args} - set(_TAKEN) | set(_OWN))
        raise BadRequest(
            f"a download has no parameter {name!r}", field=name, hint=f"known: {', '.join(known)}"
        )
    try:
        if field.type == "int":
            return int(value)
        return _BOOLEANS[value.lower()] if field.type == "bool" else value
    except (ValueError, KeyError):
        raise BadRequest(f"{value!r} is no value for {name} ({field.type})", field=name) from None


def _pages(
    bridge: Bridge,
    command: str,
    asked: Mapping[str, Any],
    session: str,
    page: dict[str, Any],
    shown: Callable[[Mapping[str, Any]], str],
) -> Iterator[bytes]:
    """The pages, each as it is sent; the next one is asked for when this one has been taken."""
    told: set[str] = set()
    try:
        while True:
            yield "".join(map(shown, page["lines"])).encode()
            yield from _told(page, told, shown)
            if not page.get("more"):
                return
            try:
                page = bridge.call(
                    command, {**asked, "cursor": page["newer"]}, session=session, timeout=PAGE_SECONDS
                )
            except CircusError as problem:
                # The status was sent long ago.
                yield shown({"error": f"the download ends early: {problem}"}).encode()
                return
    finally:
        if command == "grep":
            # Of one that nobody takes any more nothing goes on.
            bridge.cast("grep", {"limit": 0, "key": asked["key"]}, session=session)


def _told(
    page: Mapping[str, Any], told: set[str], shown: Callable[[Mapping[str, Any]], str]
) -> Iterable[bytes]:
    """What could not be read, each once."""
    for one in page.get("unsearched", ()):
        text = f"{one.get('file')} was not read: {one.get('reason')}"
        if text not in told:
            told.add(text)
            yield shown({"error": text}).encode()


def _as_json(line: Mapping[str, Any]) -> str:
    return json.dumps(line, separators=(",", ":")) + "\n"


def _as_text(*, prefix: bool) -> Callable[[Mapping[str, Any]], str]:
    def shown(line: Mapping[str, Any]) -> str:
        if "error" in line:
            return f"circus: {line['error']}\n"
        text = str(line.get("text", ""))
        if not prefix:
            return text + "\n"
        when = _iso(line.get("time"))
        return f"{when} {line.get('watcher') or '?'}.{line.get('wid') or '?'} {line.get('stream') or '?'} {text}\n"

    return shown


def _iso(seconds: Any) -> str:
    from datetime import UTC, datetime

    if not isinstance(seconds, int | float):
        return "-"
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _disposition(watcher: str, ending: str) -> str:
    """A file name that is safe everywhere, and the right one for who understands it."""
    plain = _UNSAFE.sub("_", watcher).strip("._-")[:100] or "output"
    exact = quote(f"{watcher[:100].replace('/', '_')}.{ending}", safe="")
    return f"attachment; filename=\"{plain}.{ending}\"; filename*=UTF-8''{exact}"
